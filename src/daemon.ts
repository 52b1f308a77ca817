import { buildFeatures, endpointOf, type Features, type Frame } from './build-features.ts'
import { buildFront } from './build-front.ts'
import { buildUpgrade } from './build-upgrade.ts'
import type { Config } from './config.ts'
import { AppError } from './errors.ts'
import { warnOfOpenPort } from './http/access/open-port.ts'
import { createListener } from './http/server/listener.ts'
import { createAccessToken } from './init/access-token.ts'
import { logRestart } from './keeper/log-restart.ts'
import { takeOver } from './keeper/take-over.ts'
import { requireReadable } from './kept-versions.ts'
import { errorFields } from './lib/error-fields.ts'
import { withTimeout } from './lib/with-timeout.ts'
import type { Log } from './log.ts'
import type { Logs } from './logs/logs.ts'
import { MACHINE } from './metrics/hierarchy.ts'
import { memoryOf, openResourceReader } from './metrics/resource-reader.ts'
import { exitNow } from './native/index.ts'
import { endAll } from './process/end-all.ts'
import { reapOrphans } from './process/orphans.ts'
import { untilSignalled } from './process/terminate.ts'
import { checkOwnHealth } from './startup/own-health.ts'
import { applyOwnPriority } from './startup/own-priority.ts'
import { writeRunDir } from './startup/run-dir.ts'
import type { HandOver } from './upgrade/hand-over.ts'
import { warnWithoutRoot } from './users/own-user.ts'
/** A daemon that listens. */
export interface Daemon {
  readonly port: number
  /**
   * Stops it: no new connections, every stream ended with `unavailable`, commands left to init or (with kill-on-exit)
   * ended. Takes at most about 4 s; calling it again changes nothing.
   */
  close(): Promise<void>
}

/**
 * What the run directory, which programs that start at once read, and the first call may take before the daemon goes on
 * without them.
 */
const ARRIVAL_WAIT_MS = 250

/** What services have to end in one after the other, before all that is left is ended at once. */
const SERVICES_GRACE_MS = 1_200

/** What a daemon has that takes over to answer itself, of the 5 s that the keeper gives it in all. */
const HEALTH_WAIT_MS = 3_000

/** What running calls have to end in when another daemon takes over: clients wait for that. */
const HAND_OVER_GRACE_MS = 100

/** What running calls have to end in once their streams were ended. */
const CLOSE_GRACE_MS = 1_500

/**
 * Builds every part (`build-features.ts`, `build-front.ts`), and starts them in the order in which they need each other;
 * it listens once all can answer. Rejects with the listen error.
 */
export async function startDaemon(config: Config, logs: Logs): Promise<Daemon> {
  const { log } = logs
  const stopping = new AbortController()
  const token = createAccessToken()
  const resources = openResourceReader(MACHINE)
  const memory = await memoryOf(resources)
  const listener = createListener({ log, token, memory: memory.total })
  const { keeper, taken } = await takeOver(config.keeper, log)
  if (taken.trial) requireReadable(taken)
  const frame = { logs, token, listener, resources, memory, shutdown: stopping.signal, keeper, taken }
  const features = await buildFeatures(config, frame)
  // A quarter of the time until it listens is a wait for the files of /proc.
  const sampled = features.sampler.start()
  const { registry, host, cpus, searches, kept } = features
  let closed: Promise<void> | undefined
  const leave = (own: HandOver) =>
    void handOver(own, { frame, features, stopping, stopped: () => closed !== undefined })
  const { serving, feature } = buildUpgrade(config, frame, features, leave)
  const app = buildFront(config, frame, features, feature)
  warnWithoutRoot(log)
  await Promise.all([applyOwnPriority(), app.ready(), sampled])
  const others = () => [host.commands, cpus, searches].flatMap((part) => part.pids())
  const children = () => [...registry.list().map(({ pid }) => pid), ...others()]
  const stopReaping = reapOrphans(children, log)
  const port = await listener.listen(endpointOf(config), kept.sockets)
  // One on trial that does not answer must not be the daemon: the one before it is started again.
  if (taken.trial) await checkOwnHealth({ address: config.address, port }, HEALTH_WAIT_MS)
  keeper.up()
  kept.begin(() => listener.descriptors)
  serving()
  logRestart(taken, log)
  // No disk is written before: one that is frozen may hold this up, and the thaw comes by the port.
  const written = writeRunDir({ dir: config.runDir, notFirecracker: config.notFirecracker, log })
  const warmed = taken.trial ? undefined : warm({ address: config.address, port }, log)
  await withTimeout(ARRIVAL_WAIT_MS, Promise.all([written, warmed]), stopping.signal)
  warnOfOpenPort({ ...config, token }, log)
  beginWork(features, port)
  return {
    port,
    close: () => {
      closed ??= shutDown({ config, frame, features, app, stopping, stopReaping })
      return closed
    },
  }
}

/** What works without being asked. */
function beginWork({ ports, mmds, cpus, services, uploads }: Features, port: number): void {
  ports.start(port)
  mmds.start()
  void cpus.resume()
  services.begin()
  uploads.begin()
}

/** The first call of a process takes three times as long as the second: it is one of its own. */
async function warm(own: Parameters<typeof checkOwnHealth>[0], log: Log): Promise<void> {
  try {
    await checkOwnHealth(own, HEALTH_WAIT_MS)
  } catch (error) {
    log.warn({ ...errorFields(error) }, 'the port of the daemon does not answer the daemon itself')
  }
}

interface Serving extends Pick<Running, 'frame' | 'features' | 'stopping'> {
  /** The daemon was told to stop: there is nothing to take over, and it ends by itself. */
  readonly stopped: () => boolean
}

/** Ends this process for the one that waits to take over; what the keeper has stays. */
async function handOver(own: HandOver, { frame, features, stopping, stopped }: Serving): Promise<void> {
  if (stopped()) return
  features.kept.handOver(own)
  const text = 'another daemon takes over: connect again, with the offset of the output that has come'
  stopping.abort(new AppError('unavailable', text))
  await frame.listener.close(HAND_OVER_GRACE_MS, 'served')
  // What a client sees as killed is killed; what begins from now on the next daemon does (`ProcessDeposit.killing`).
  await untilSignalled()
  await frame.logs.close()
  if (!stopped()) exitNow(0)
}

interface Running {
  readonly config: Config
  readonly frame: Frame
  readonly features: Features
  readonly app: ReturnType<typeof buildFront>
  readonly stopping: AbortController
  readonly stopReaping: () => void
}

async function shutDown({ config, frame, features, app, stopping, stopReaping }: Running): Promise<void> {
  const { keeper, listener } = frame
  const { kept, services, mmds, rootFreeze, sampler, registry, release } = features
  keeper.leave()
  kept.end()
  services.close()
  mmds.close()
  // Also lets go what waits for the disk, and would hold up the end of the process.
  const thawed = rootFreeze.close()
  // Before the streams end, so that those who watch get the last sample.
  await sampler.stop()
  stopping.abort(new AppError('unavailable', 'the daemon is stopping'))
  const closed = listener.close(CLOSE_GRACE_MS)
  // The end of process 1 is the end of every process: better that they hear of it.
  if (config.killOnExit || process.pid === 1 || keeper.isInit) {
    if (services.all.length > 1) await services.terminate(AbortSignal.timeout(SERVICES_GRACE_MS))
    await endAll(registry)
  }
  // What a client sees as killed is killed.
  await untilSignalled()
  await closed
  await app.close()
  stopReaping()
  await thawed
  await release()
  keeper.close()
}
