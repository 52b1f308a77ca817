import { afterAll, beforeAll } from 'vitest'
import { type Daemon, type DaemonOptions, startDaemon } from '../_util/daemon.ts'

/** One daemon for all tests of a file: started before the first, stopped (and checked for crashes) after the last. */
export function sharedDaemon(options: DaemonOptions = {}): Pick<Daemon, 'url' | 'port' | 'pid'> {
  let daemon: Daemon | undefined
  const running = () => {
    if (daemon === undefined) throw new Error('the daemon is there within tests only')
    return daemon
  }
  beforeAll(async () => {
    daemon = await startDaemon(options)
  })
  afterAll(async () => {
    await daemon?.[Symbol.asyncDispose]()
  })
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
  }
}
