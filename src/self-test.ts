import { START, type SupervisorConfig } from './config/supervisor.ts'
import type { Config } from './config.ts'
import { startDaemon } from './daemon.ts'
import { createLog } from './log.ts'
import type { Logs } from './logs/logs.ts'
import { RecentLines } from './logs/recent-lines.ts'
import { sealedMemory } from './native/packets.ts'
import { randomUuid } from './native/random.ts'
import { checkOwnHealth } from './startup/own-health.ts'
import { ownCandidate } from './upgrade/verify.ts'

const WAIT_MS = 10_000

/** Nothing of a test is logged. */
const SILENT: Logs = {
  log: createLog([]),
  recent: new RecentLines(),
  configure: () => {},
  print: () => {},
  writeStderr: () => {},
  resumed: () => {},
  drain: async () => {},
  close: async () => {},
}

function idle(service: SupervisorConfig): SupervisorConfig {
  return { ...service, after: [], startCommand: undefined, readyCommand: undefined }
}

/**
 * Starts a daemon on a free port of loopback, locked by a random token, which changes nothing on this
 * machine; resolves, once it has answered, with what it says of itself as JSON. Rejects with what failed.
 * @param config the paths and limits of it; where it listens and what it starts do not count.
 */
export async function selfTest(config: Config): Promise<string> {
  const address = '127.0.0.1'
  const token = sealedMemory(Buffer.from(randomUuid()))
  const daemon = await startDaemon(
    {
      ...config,
      ...{ address, port: 0, accessTokenFile: `/proc/self/fd/${token}`, notFirecracker: true, noCgroups: true },
      // Where no directory can be made.
      ...{ runDir: '/dev/null/run', keeper: undefined, forward: undefined, killOnExit: true },
      services: config.services.filter(({ name }) => name === START).map(idle),
    },
    SILENT,
  )
  await checkOwnHealth({ address, port: daemon.port }, WAIT_MS)
  return JSON.stringify(ownCandidate())
}
