import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Config } from './config.ts'
import { startDaemon } from './daemon.ts'
import { markInPieces, setEngineFlags } from './lib/engine-flags.ts'
import { errorFields } from './lib/error-fields.ts'
import type { Log } from './log.ts'
import { createLogs } from './logs/logs.ts'
import { exitNow } from './native/index.ts'
import { releaseProgramPages } from './native/program-pages.ts'
import { ignoreSignals } from './startup/ignored-signals.ts'
import { checkInstallation } from './startup/installation.ts'

/** Clients that wait for a sandbox call at once: those calls come before V8 begins to mark the heap. */
const FIRST_CALLS_MS = 1_000

/**
 * Runs the daemon until SIGTERM or SIGINT and stops it then. Returns false when it could not listen.
 * @param lastResort milliseconds after the signal at which the process exits whatever still runs.
 */
export async function serve(config: Config, lastResort: number): Promise<boolean> {
  ignoreSignals()
  const logs = createLogs({ verbose: config.verbose, exported: !config.notFirecracker })
  const { log } = logs
  surviveSurprises(log)
  const stopped = signalled()
  try {
    setEngineFlags()
    const daemon = await startDaemon(config, logs)
    releaseStartPages(log)
    markInPieces(FIRST_CALLS_MS)
    logs.print(`listening on http://${host(config.address)}:${daemon.port}`)
    await checkInstallation(dirname(fileURLToPath(import.meta.url)), log)
    log.info({ signal: await stopped }, 'stopping')
    setTimeout(() => exitNow(0), lastResort).unref()
    await daemon.close()
    return true
  } catch (error) {
    process.stderr.write(`server stopped: ${error instanceof Error ? error.message : error}\n`)
    return false
  } finally {
    await logs.close()
  }
}

/**
 * Ends the process at once, with commands still running, and with file calls that a dead network mount may never let
 * end.
 */
export function leave(code: number): never {
  return exitNow(code)
}

/** Half of what is resident after a start has been used for it only. */
function releaseStartPages(log: Log): void {
  try {
    releaseProgramPages()
  } catch (error) {
    log.debug({ ...errorFields(error) }, 'the pages of the program stay resident')
  }
}

/**
 * A failure outside any call is a bug, logged as an error; but ending the daemon for it would take every running
 * command's output along, which costs its users far more.
 */
function surviveSurprises(log: Log): void {
  const logError = (kind: string) => (error: unknown) => {
    log.error({ kind, ...errorFields(error) }, 'unexpected failure outside any call')
  }
  process.on('uncaughtException', logError('exception'))
  process.on('unhandledRejection', logError('rejection'))
}

/** The first signal to stop. Later ones change nothing: npm and terminals send the same one more than once. */
function signalled(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal))
  })
}

function host(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
