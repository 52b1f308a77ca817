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
