"""Runs a program in a sandbox that takes rights away: restricted.py RESTRICTION... -- PROGRAM [ARGUMENT]...

cap=NAME          drops a capability from the bounding set (cap=all: every one)
no-new-privs      prctl(PR_SET_NO_NEW_PRIVS)
refuse=CALL:ERRNO makes a system call fail by a seccomp filter
"""
import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 24, 38
CAPABILITIES = {"chown": 0, "dac_override": 1, "kill": 5, "setgid": 6, "setuid": 7, "net_admin": 12, "sys_ptrace": 19,
                "sys_admin": 21, "sys_nice": 23, "sys_resource": 24}
CALLS = {"io_uring_setup": 425, "pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437}
CALLS |= ({"statx": 332, "setgroups": 116, "pidfd_send_signal": 424} if platform.machine() == "x86_64"
          else {"statx": 291, "setgroups": 159, "pidfd_send_signal": 424})
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000

libc = ctypes.CDLL(None, use_errno=True)


def prctl(*arguments):
    if libc.prctl(*[ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:5]]) != 0:
        raise OSError(ctypes.get_errno(), f"prctl{arguments}")


def drop(name):
    if name != "all":
        return prctl(PR_CAPBSET_DROP, CAPABILITIES[name])
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        for number in range(int(file.read()) + 1):
            prctl(PR_CAPBSET_DROP, number)


def refuse(call, error):
    steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, CALLS[call]),
             (RETURN, 0, 0, FAIL | getattr(errno, error)), (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(program))


split = sys.argv.index("--")
# A filter takes the right to install it, so it comes first.
for restriction in sorted(sys.argv[1:split], key=lambda word: not word.startswith("refuse=")):
    kind, _, value = restriction.partition("=")
    if kind == "cap":
        drop(value)
    elif kind == "refuse":
        refuse(*value.split(":"))
    elif kind == "no-new-privs":
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    else:
        sys.exit(f"restricted.py: {restriction}: no such restriction")
os.execv(sys.argv[split + 1], sys.argv[split + 1:])
