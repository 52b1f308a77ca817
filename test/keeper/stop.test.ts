import { beforeEach, expect, test } from 'vitest'
import type { Daemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { pidOf, start } from '../_util/rpc.ts'
import { startKept } from './crash.ts'

beforeEach(needsNamespace)

const lives = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** A command, and what is done to the daemon before it is told to stop with all commands (`-kill-on-exit`). */
async function expectAllEnds(before: (daemon: Daemon, ended: Promise<unknown>) => Promise<void>): Promise<void> {
  await using daemon = await startKept()
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body: '{}' })).status).toBe(204)
  const stream = await start(daemon.url, 'sleep', { args: ['1000'] })
  const pid = await pidOf(stream)
  await before(
    daemon,
    stream.rest().catch(() => {}),
  )
  expect(await daemon.stop()).toBe(0)
  await expect.poll(() => lives(pid)).toBe(false)
}

test('A7 SIGTERM right after a crash ends every command with -kill-on-exit', () =>
  expectAllEnds(async (daemon) => {
    process.kill(daemon.pid, 'SIGKILL')
  }))

test('A7 SIGTERM while the daemon hands over ends every command with -kill-on-exit', () =>
  expectAllEnds(async (daemon, ended) => {
    void sendWhole(`${daemon.url}/upgrade`, { method: 'POST' }).catch(() => {})
    // The streams end first, and the daemon some 0.1 s later.
    await ended
  }))
