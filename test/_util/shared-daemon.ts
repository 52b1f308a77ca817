import { afterAll, beforeAll } from 'vitest'
import { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts'

/**
 * One daemon for all tests of a file: started before the first and stopped after the last, which fails if it crashed or
 * logged a failure outside any call. Its properties are there within tests only.
 */
export function sharedDaemon(
  options: DaemonOptions = {},
): Pick<Daemon, 'url' | 'port' | 'pid' | 'launched' | 'stdout' | 'stderr'> {
  let daemon: Daemon | undefined
  const running = () => {
    if (daemon === undefined) throw new Error('the daemon is there within tests only')
    return daemon
  }
  beforeAll(async () => {
    daemon = await startDaemon(options)
  })
  afterAll(() => daemon?.[Symbol.asyncDispose]())
  return {
    get url() {
      return running().url
    },
    get port() {
      return running().port
    },
    get pid() {
      return running().pid
    },
    get launched() {
      return running().launched
    },
    stdout: () => running().stdout(),
    stderr: () => running().stderr(),
  }
}
