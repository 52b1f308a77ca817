import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { type Daemon, type DaemonOptions, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'

/** A daemon that the test ends and its keeper starts again. */
export function startKept(options: DaemonOptions = {}): Promise<Daemon> {
  return startDaemon({ ...options, restarts: true })
}

/** Kills the daemon, so that it cannot report its end, and resolves when the next one answers. */
export async function crash(daemon: Daemon, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  process.kill(daemon.pid, signal)
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
}

/** Exchanges the daemon for another one of the same program, and resolves when that one serves. */
export async function upgrade({ url }: Daemon): Promise<void> {
  const headers = { 'x-envd-upgrade-bundle': 'body' }
  await expect(sendWhole(`${url}/upgrade`, { method: 'POST', headers })).rejects.toThrow()
  const report = async () => JSON.parse((await sendWhole(`${url}/upgrade/status`)).text)
  await expect.poll(report).toMatchObject({ state: 'upgraded' })
}

/**
 * Kills the daemon, and does what is to be done while there is none: the next one is stopped as soon as it is started,
 * before it takes anything, and goes on afterwards. Resolves with the result when that one answers.
 */
export async function whileAway<T>(daemon: Daemon, work: () => Promise<T>): Promise<T> {
  const before = daemon.pid
  process.kill(before, 'SIGKILL')
  // Looked at once a turn: what is found may be on its way to its program, and not be found again.
  let next = before
  while (Number.isNaN(next) || next === before) {
    await delay(1)
    next = daemon.pid
  }
  process.kill(next, 'SIGSTOP')
  const result = await work()
  process.kill(next, 'SIGCONT')
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
  return result
}
