import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts'
import { sendWhole } from './http.ts'
import { call } from './rpc.ts'

/**
 * A daemon whose wall clock really can be set, and which no other process has: each that its keeper starts begins with
 * that of the machine. @param dir is there as long as the daemon.
 */
export async function startWithOwnClock(dir: string, options: DaemonOptions = {}): Promise<Daemon> {
  const library = join(dir, 'own-clock.so')
  const source = join(import.meta.dirname, '../init/fixtures/own-clock.cc')
  await promisify(execFile)(process.env['CXX'] ?? 'c++', [
    '-std=c++20',
    '-O1',
    '-shared',
    '-fPIC',
    '-o',
    library,
    source,
  ])
  return startDaemon({ ...options, env: { LD_PRELOAD: library } })
}

/** Sets the daemon's clock to so many milliseconds from that of the machine. */
export async function setClock(daemon: Daemon, difference: number): Promise<void> {
  const body = JSON.stringify({ timestamp: new Date(Date.now() + difference).toISOString() })
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body })).status).toBe(204)
}

/** How far the daemon's clock is from that of the machine, in milliseconds, to the second. */
export async function clockDifference(daemon: Daemon): Promise<number> {
  const { sample } = Object((await call(daemon.url, 'metrics.Metrics/Get', {})).body)
  return Date.parse(sample.timestamp) - Date.now()
}
