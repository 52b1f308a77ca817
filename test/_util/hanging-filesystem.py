"""A FUSE filesystem over /dev/fuse whose root answers, and in which some entries never do.

python3 hanging-filesystem.py PATH ENTRY...: mounts it at PATH and serves it until it is killed. Each entry is a file or,
with a slash behind it, a directory; its name says what waits for ever: `never-stat`, `never-list/`, `never-open`,
`never-read`. Other names answer: a file has the text `text`, a directory one file `last`.
"""

import os
import struct
import subprocess
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
GETXATTR, LISTXATTR, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR = 22, 23, 25, 26, 27, 28, 29
BATCH_FORGET = 42
ENOENT, ENOSYS = 2, 38
# An entry that is looked for holds up no other of its directory.
PARALLEL_DIROPS = 1 << 18
TEXT = b'text'

path, names = sys.argv[1], sys.argv[2:]
# By inode: name, whether it is a directory, the inodes in it.
nodes = {1: ('', True, [])}


def add(parent, name):
    inode = len(nodes) + 1
    is_directory = name.endswith('/')
    nodes[inode] = (name.rstrip('/'), is_directory, [])
    nodes[parent][2].append(inode)
    if is_directory:
        add(inode, 'last')


for name in names:
    add(1, name)

device = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={device},rootmode=40000,user_id=0,group_id=0,allow_other'
subprocess.run(['mount', '-i', '-n', '-t', 'fuse', '-o', options, 'hanging', path], pass_fds=[device], check=True)


def attributes(inode):
    is_directory = nodes[inode][1]
    mode, size = (0o40755, 0) if is_directory else (0o100644, len(TEXT))
    return struct.pack('<QQQQQQIIIIIIIIII', inode, size, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def entries(inode, offset):
    packed = b''
    for index, child in enumerate(nodes[inode][2]):
        name, is_directory, _ = nodes[child]
        raw = name.encode()
        entry = struct.pack('<QQII', child, index + 1, len(raw), 4 if is_directory else 8) + raw
        packed += (entry + b'\0' * (-len(entry) % 8)) if index >= offset else b''
    return packed


def find(parent, name):
    return next((child for child in nodes[parent][2] if nodes[child][0] == name), None)


def answer(opcode, inode, body):
    """The bytes of an answer, an errno, or None where there is none."""
    name = nodes[inode][0] if inode in nodes else ''
    if opcode == INIT:
        return struct.pack('<IIIIHHIIHHI7I', 7, 31, 65536, PARALLEL_DIROPS, 8, 6, 65536, 1, 0, 0, *[0] * 8)
    if opcode == LOOKUP:
        wanted = body.rstrip(b'\0').decode()
        child = find(inode, wanted)
        if child is None:
            return ENOENT
        # Nothing is kept: each call asks again.
        known = struct.pack('<QQQQII', child, 0, 0, 0, 0, 0) + attributes(child)
        return None if wanted == 'never-stat' else known
    if opcode == GETATTR:
        return struct.pack('<QII', 0, 0, 0) + attributes(inode)
    if opcode in (OPEN, OPENDIR):
        return None if name == 'never-open' else struct.pack('<QII', 0, 0, 0)
    if opcode == READ:
        offset = struct.unpack_from('<QQ', body)[1]
        return None if name == 'never-read' else TEXT[offset:]
    if opcode == READDIR:
        return None if name == 'never-list' else entries(inode, struct.unpack_from('<QQ', body)[1])
    if opcode in (RELEASE, RELEASEDIR, FLUSH):
        return b''
    if opcode == STATFS:
        return b'\0' * 80
    return ENOSYS


while True:
    request = os.read(device, 1 << 17)
    _, opcode, unique, inode = struct.unpack_from('<IIQQ', request)
    if opcode in (FORGET, BATCH_FORGET):
        continue
    answered = answer(opcode, inode, request[40:])
    if answered is None:
        continue
    error, data = (-answered, b'') if isinstance(answered, int) else (0, answered)
    os.write(device, struct.pack('<IiQ', 16 + len(data), error, unique) + data)
