"""Drives the daemon on port 49983 with the Python SDK of this environment.

The arguments name the tests to run. Prints one JSON line per test: {"name", "outcome": "passed" | "failed", "detail"}.
A comment `# since 1.2.3` above a test names the first release that has what the test uses.
"""
import io
import json
import sys
import threading
import time
import traceback
from importlib.metadata import version

import e2b
from e2b import Sandbox

VERSION = tuple(int(part) for part in version('e2b').split('.')[:3])
NEW = VERSION >= (2, 0, 0)


def create():
    # The first releases take debug mode as an argument only.
    return Sandbox.create(debug=True) if NEW else Sandbox(debug=True)


def open_stdin():
    return {'stdin': True} if VERSION >= (2, 2, 0) else {}


def raises(kind, action):
    try:
        action()
    except kind as error:
        return error
    raise AssertionError(f'{kind.__name__} was not raised')


def eventually(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, 'did not become true'
        time.sleep(0.02)


def new_directory(sandbox):
    return sandbox.commands.run('mktemp -d').stdout.strip()


def test_output_and_exit_code(sandbox):
    result = sandbox.commands.run('echo out; echo err >&2')
    assert (result.exit_code, result.stdout, result.stderr) == (0, 'out\n', 'err\n')


def test_failing_command(sandbox):
    error = raises(e2b.CommandExitException, lambda: sandbox.commands.run('echo out; exit 3'))
    assert (error.exit_code, error.stdout, error.error) == (3, 'out\n', 'exit status 3')


def test_environment_directory_user(sandbox):
    result = sandbox.commands.run('echo "$A"; pwd; whoami', envs={'A': 'grüß $HOME'}, cwd='/usr', user='root')
    assert result.stdout == 'grüß $HOME\n/usr\nroot\n'
    assert sandbox.commands.run('whoami; pwd').stdout == 'user\n/home/user\n'


def test_callbacks(sandbox):
    out, err = [], []
    sandbox.commands.run('echo one; echo two >&2', on_stdout=out.append, on_stderr=err.append)
    assert (''.join(out), ''.join(err)) == ('one\n', 'two\n')


def test_background_list_kill(sandbox):
    handle = sandbox.commands.run('sleep 1000', background=True)
    assert handle.pid in [info.pid for info in sandbox.commands.list()]
    assert handle.kill() is True
    raises(e2b.CommandExitException, handle.wait)
    assert sandbox.commands.kill(handle.pid) is False
    assert handle.pid not in [info.pid for info in sandbox.commands.list()]


def test_standard_input(sandbox):
    handle = sandbox.commands.run('read line; echo "got $line"', background=True, **open_stdin())
    sandbox.commands.send_stdin(handle.pid, 'wörld\n')
    assert handle.wait().stdout == 'got wörld\n'


# since 2.13.3
def test_close_standard_input(sandbox):
    handle = sandbox.commands.run('wc -c', background=True, stdin=True)
    sandbox.commands.send_stdin(handle.pid, 'hello')
    sandbox.commands.close_stdin(handle.pid)
    assert handle.wait().stdout.strip() == '5'


# since 2.63.0
def test_stream_input(sandbox):
    handle = sandbox.commands.run('md5sum', background=True, stdin=True)
    sandbox.commands.stream_input(handle.pid, (b'x' * 1000 for _ in range(1000)))
    sandbox.commands.close_stdin(handle.pid)
    expected = sandbox.commands.run("head -c 1000000 /dev/zero | tr '\\0' x | md5sum").stdout
    assert handle.wait().stdout == expected


# since 2.63.0
def test_stream_input_to_terminal(sandbox):
    output = bytearray()
    terminal = sandbox.pty.create(e2b.PtySize(rows=24, cols=80))
    sandbox.pty.stream_input(terminal.pid, iter([b'stty -echo; echo a$((1+1))c\n', b'exit 3\n']))
    error = raises(e2b.CommandExitException, lambda: terminal.wait(on_pty=output.extend))
    assert error.exit_code == 3 and b'a2c' in output, output


# since 2.63.0
def test_refused_input(sandbox):
    """N2: the code reaches the caller; no release maps it."""
    handle = sandbox.commands.run('exec 0<&-; echo closed; sleep 1000', background=True, stdin=True)
    next(iter(handle))
    error = raises(e2b.SandboxException, lambda: sandbox.commands.send_stdin(handle.pid, 'x'))
    assert 'FAILED_PRECONDITION' in str(error), error
    handle.kill()


# since 2.63.0
def test_output_that_is_not_retained(sandbox):
    heard = []
    script = 'head -c 3000000 /dev/zero | tr "\\0" x; echo err >&2'
    result = sandbox.commands.run(script, retain_output=False, on_stdout=heard.append)
    assert (result.exit_code, result.stdout, result.stderr) == (0, None, None)
    assert sum(len(piece) for piece in heard) == 3_000_000
    error = raises(e2b.CommandExitException, lambda: sandbox.commands.run('echo out; exit 3', retain_output=False))
    assert error.exit_code == 3
    handle = sandbox.commands.run('sleep 0.5; echo late', background=True)
    late = []
    connected = sandbox.commands.connect(handle.pid, retain_output=False)
    assert connected.wait(on_stdout=late.append).stdout is None and late == ['late\n']


def test_connect(sandbox):
    handle = sandbox.commands.run('read line; echo "got $line"', background=True, **open_stdin())
    connected = create().commands.connect(handle.pid)
    sandbox.commands.send_stdin(handle.pid, 'it\n')
    assert connected.wait().stdout == 'got it\n'
    assert handle.wait().stdout == 'got it\n'


def test_time_limit(sandbox):
    started = time.monotonic()
    raises(e2b.TimeoutException, lambda: sandbox.commands.run('sleep 1000.75', timeout=0.5))
    assert time.monotonic() - started < 20
    eventually(lambda: not [info for info in sandbox.commands.list() if 'sleep 1000.75' in info.args])


def test_disconnect(sandbox):
    handle = sandbox.commands.run('sleep 1000', background=True)
    handle.disconnect()
    assert handle.pid in [info.pid for info in sandbox.commands.list()]
    assert sandbox.commands.kill(handle.pid) is True


def test_much_output(sandbox):
    assert sandbox.commands.run('seq 1 200000').stdout == ''.join(f'{n}\n' for n in range(1, 200001))


def test_terminal(sandbox):
    # The shell ends by itself when this test is cut off.
    terminal = sandbox.pty.create(e2b.PtySize(rows=24, cols=80), envs={'MARK': 'märk', 'TMOUT': '60'}, timeout=0)
    screen = bytearray()
    reader = threading.Thread(target=lambda: [screen.extend(pty) for _, _, pty in terminal if pty], daemon=True)
    reader.start()
    sandbox.pty.send_stdin(terminal.pid, b'stty size; echo "<$(whoami) $TERM $MARK>"\n')
    eventually(lambda: b'24 80\r\n' in screen and '<user xterm-256color märk>'.encode() in screen)
    sandbox.pty.resize(terminal.pid, e2b.PtySize(rows=50, cols=132))
    sandbox.pty.send_stdin(terminal.pid, b'stty size\n')
    eventually(lambda: b'50 132\r\n' in screen)
    assert sandbox.pty.kill(terminal.pid) is True
    reader.join(20)
    assert not reader.is_alive()


# since 2.9.0
def test_terminal_second_client(sandbox):
    terminal = sandbox.pty.create(e2b.PtySize(rows=24, cols=80), timeout=0)
    other = create().pty.connect(terminal.pid)
    screen = bytearray()
    reader = threading.Thread(target=lambda: [screen.extend(pty) for _, _, pty in other if pty], daemon=True)
    reader.start()
    sandbox.pty.send_stdin(terminal.pid, b'echo from-""first\n')
    eventually(lambda: b'from-first' in screen)
    assert sandbox.pty.kill(terminal.pid) is True
    reader.join(20)


def test_write_and_read(sandbox):
    path = new_directory(sandbox) + '/new/a b ü+%20.bin'
    content = bytes(range(256)) * 1000
    info = sandbox.files.write(path, content)
    assert (info.path, info.name) == (path, 'a b ü+%20.bin')
    assert bytes(sandbox.files.read(path, format='bytes')) == content
    assert b''.join(sandbox.files.read(path, format='stream')) == content
    sandbox.files.write(path, 'häl\nlo')
    assert sandbox.files.read(path) == 'häl\nlo'
    sandbox.files.write(path, '')
    assert sandbox.files.read(path) == ''


def test_several_files(sandbox):
    path = new_directory(sandbox)
    files = [{'path': f'{path}/a', 'data': 'A'}, {'path': f'{path}/d/"b"', 'data': b'B'}]
    written = sandbox.files.write_files(files) if NEW else sandbox.files.write(files)
    assert [info.path for info in written] == [file['path'] for file in files]
    assert [sandbox.files.read(file['path']) for file in files] == ['A', 'B']


# since 2.20.2
def test_raw_and_compressed(sandbox):
    path = new_directory(sandbox)
    content = bytes(range(256)) * 1000
    sandbox.files.write(f'{path}/raw', content, use_octet_stream=True)
    sandbox.files.write(f'{path}/packed', content, gzip=True)
    assert bytes(sandbox.files.read(f'{path}/raw', format='bytes', gzip=True)) == content
    assert bytes(sandbox.files.read(f'{path}/packed', format='bytes')) == content


# since 2.63.0
def test_iterables(sandbox):
    path = new_directory(sandbox)
    pieces = [bytes([number]) * 70_000 for number in range(40)]
    expected = b''.join(pieces)
    sandbox.files.write(f'{path}/plain', iter(pieces))
    sandbox.files.write(f'{path}/packed', iter(pieces), gzip=True)
    sandbox.files.write(f'{path}/none', iter([]))
    sandbox.files.write(f'{path}/file', io.BytesIO(expected), gzip=True)
    sandbox.files.write_files([{'path': f'{path}/{name}', 'data': iter(pieces)} for name in ('one', 'two')])
    for name in ('plain', 'packed', 'file', 'one', 'two'):
        assert bytes(sandbox.files.read(f'{path}/{name}', format='bytes')) == expected, name
        streamed = b''.join(sandbox.files.read(f'{path}/{name}', format='stream', gzip=name == 'packed'))
        assert streamed == expected, name
    assert sandbox.files.get_info(f'{path}/none').size == 0


# since 2.28.0
def test_metadata(sandbox):
    path = new_directory(sandbox) + '/m'
    sandbox.files.write(path, 'x', metadata={'author': 'me'})
    assert sandbox.files.get_info(path).metadata == {'author': 'me'}


def test_listing_and_details(sandbox):
    path = new_directory(sandbox)
    sandbox.commands.run('mkdir -p d/e; printf 123 > f; ln -s f l', cwd=path)
    entries = {entry.name: entry for entry in sandbox.files.list(path)}
    assert entries['f'].type == e2b.FileType.FILE and entries['d'].type == e2b.FileType.DIR
    assert entries['f'].path == f'{path}/f'
    if VERSION >= (1, 4, 0):
        assert f'{path}/d/e' in [entry.path for entry in sandbox.files.list(path, depth=2)]
    if NEW:
        info = sandbox.files.get_info(f'{path}/f')
        assert (info.size, info.owner, info.permissions) == (3, 'user', '-rw-r--r--')
        assert sandbox.files.get_info(f'{path}/l').symlink_target == f'{path}/f'


# since 2.63.0
def test_symbolic_links(sandbox):
    """N1: `list` leaves out broken links and loops by itself, whatever the daemon says."""
    path = new_directory(sandbox)
    sandbox.commands.run('mkdir d; touch f; ln -s f to-f; ln -s d to-d; ln -s nowhere broken; ln -s loop loop', cwd=path)
    link = e2b.FileType.SYMLINK
    targets = {'to-f': 'f', 'to-d': 'd', 'broken': 'broken', 'loop': 'loop'}
    for name, target in targets.items():
        info = sandbox.files.get_info(f'{path}/{name}')
        assert (info.name, info.type, info.symlink_target) == (name, link, f'{path}/{target}'), info
    listed = {entry.name: entry.type for entry in sandbox.files.list(path)}
    assert listed == {'d': e2b.FileType.DIR, 'f': e2b.FileType.FILE, 'to-d': link, 'to-f': link}, listed
    assert sandbox.files.rename(f'{path}/to-f', f'{path}/moved').type == link


def test_make_rename_remove_exists(sandbox):
    path = new_directory(sandbox)
    assert sandbox.files.make_dir(f'{path}/a/b') is True
    assert sandbox.files.make_dir(f'{path}/a/b') is False
    sandbox.files.write(f'{path}/a/b/f', 'x')
    assert sandbox.files.rename(f'{path}/a', f'{path}/z').path == f'{path}/z'
    assert sandbox.files.exists(f'{path}/z/b/f') is True
    sandbox.files.remove(f'{path}/z')
    assert sandbox.files.exists(f'{path}/z') is False


def test_missing_file(sandbox):
    error = raises(e2b.NotFoundException, lambda: sandbox.files.read('/not/there'))
    assert "path '/not/there' does not exist" in str(error)
    raises(e2b.NotFoundException, lambda: sandbox.files.list('/not/there'))


def test_running(sandbox):
    assert sandbox.is_running() is True


def main():
    sandbox = create()
    for name in sys.argv[1:]:
        outcome, detail = 'passed', ''
        try:
            globals()[name](sandbox)
        except Exception:
            outcome, detail = 'failed', traceback.format_exc()
        print(json.dumps({'name': name, 'outcome': outcome, 'detail': detail}), flush=True)


main()
