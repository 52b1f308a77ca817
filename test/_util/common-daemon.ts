import { afterAll, beforeAll, vi } from 'vitest'
import { type Daemon, startDaemon } from './daemon.ts'
import { call } from './rpc.ts'

/** Of this process, which runs the files of its project one after the other (`isolate: false`). */
let running: Promise<Daemon> | undefined

/**
 * A daemon with no flags of its own for all files that one worker runs, as a start takes longer than most tests: it is
 * there within tests only. For tests that change nothing that lasts (no `/init`), and look for what is their own among
 * what is listed, counted or logged. After the last test of a file its commands are killed, and the file fails if the
 * daemon crashed or logged a failure outside any call. Ends with the worker.
 */
export function commonDaemon(): Pick<Daemon, 'url' | 'port' | 'pid'> {
  let daemon: Daemon | undefined
  const there = () => {
    if (daemon === undefined) throw new Error('the daemon is there within tests only')
    return daemon
  }
  beforeAll(async () => {
    running ??= startForWorker()
    daemon = await running
  })
  afterAll(async () => {
    try {
      there().check()
      await killCommands(there().url)
    } catch (error) {
      // The next file gets another one.
      running = undefined
      await there().stop()
      throw error
    }
  })
  return {
    get url() {
      return there().url
    },
    get port() {
      return there().port
    },
    get pid() {
      return there().pid
    },
  }
}

async function startForWorker(): Promise<Daemon> {
  const daemon = await startDaemon()
  // Vitest ends its workers by SIGTERM, which alone would leave the daemon behind.
  process.once('exit', () => void daemon.stop())
  process.once('SIGTERM', () => process.exit())
  return daemon
}

async function killCommands(url: string): Promise<void> {
  const pids = async (): Promise<number[]> => {
    const { body } = await call(url, 'process.Process/List', {})
    return Object(body).processes?.map(({ pid }: { pid: number }) => pid) ?? []
  }
  const signal = 'SIGNAL_SIGKILL'
  for (const pid of await pids()) await call(url, 'process.Process/SendSignal', { process: { pid }, signal })
  await vi.waitUntil(async () => (await pids()).length === 0, { timeout: 15_000 })
}
