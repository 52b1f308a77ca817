import { afterAll, beforeAll } from 'vitest'
import { type Daemon, type DaemonOptions, startDaemon } from '../_util/daemon.ts'

/**
 * One daemon for all tests of a file, started before the first and stopped after the last, which fails if it crashed or
 * logged a failure outside any call. Gives what returns it.
 */
export function sharedDaemon(options: DaemonOptions = {}): () => Daemon {
  let daemon: Daemon | undefined
  beforeAll(async () => {
    daemon = await startDaemon(options)
  })
  afterAll(() => daemon?.[Symbol.asyncDispose]())
  return () => {
    if (daemon === undefined) throw new Error('the daemon is there only while the tests of the file run')
    return daemon
  }
}
