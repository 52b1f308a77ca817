"""Watches directories through the daemon on port 49983 with the Python SDK of this environment: polled and streamed.

Prints one JSON line per test: {"name", "outcome": "passed" | "failed", "detail"}.
"""
import asyncio
import json
import os
import time
import traceback
from importlib.metadata import version

import e2b
from e2b import AsyncSandbox, Sandbox

VERSION = tuple(int(part) for part in version('e2b').split('.')[:3])
NEW = VERSION >= (2, 0, 0)


def lines(events):
    return [f'{event.type.value} {event.name}' for event in events]


def new_directory(sandbox):
    return sandbox.commands.run('mktemp -d').stdout.strip()


def test_polling():
    sandbox = Sandbox.create(debug=True) if NEW else Sandbox(debug=True)
    path = new_directory(sandbox)
    handle = sandbox.files.watch_dir(path, recursive=True)
    assert handle.get_new_events() == []
    for i in range(20):
        sandbox.files.write(f'{path}/f{i}', 'content')
        # At once: the events are there when the upload is answered.
        assert lines(handle.get_new_events()) == [f'create f{i}', f'chmod f{i}', f'write f{i}']
    sandbox.files.write(f'{path}/my-folder/my-file', 'content')
    assert 'create my-folder/my-file' in lines(handle.get_new_events())
    handle.stop()
    try:
        handle.get_new_events()
    except e2b.SandboxException:
        pass
    else:
        raise AssertionError('a stopped watcher was polled')
    try:
        sandbox.files.watch_dir('/not/there')
    except e2b.NotFoundException:
        pass
    else:
        raise AssertionError('a directory that is not there was watched')


async def streaming():
    sandbox = await (AsyncSandbox.create(debug=True))
    path = (await sandbox.commands.run('mktemp -d')).stdout.strip()
    events, exits = [], []
    handle = await sandbox.files.watch_dir(path, events.append, on_exit=exits.append, recursive=True)
    await sandbox.files.write(f'{path}/f', 'content')
    end = time.monotonic() + 15
    while len(events) < 3:
        assert time.monotonic() < end, lines(events)
        await asyncio.sleep(0.02)
    assert lines(events) == ['create f', 'chmod f', 'write f'], lines(events)
    await handle.stop()
    await sandbox.files.write(f'{path}/g', 'content')
    assert len(events) == 3


def test_streaming():
    asyncio.run(streaming())


for test in (test_polling, test_streaming):
    outcome, detail = 'passed', ''
    try:
        test()
    except Exception:
        outcome, detail = 'failed', traceback.format_exc()
    print(json.dumps({'name': test.__name__, 'outcome': outcome, 'detail': detail}), flush=True)
# Without the interpreter's end, in which the threads of the SDK's HTTP client abort now and then (pyqwest 0.12).
os._exit(0)
