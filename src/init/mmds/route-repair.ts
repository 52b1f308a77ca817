import { AppError } from '../../errors.ts'
import type { Log } from '../../log.ts'

/** Runs a program of the machine (`init/host/commands.ts`); rejects if it cannot be run or takes too long. */
export type RunCommand = (
  file: string,
  args: readonly string[],
  limits: { readonly timeout: number; readonly signal: AbortSignal },
) => Promise<{ readonly exitCode: number | undefined; readonly output: string }>

/** Lets through what goes to the metadata service: a guest's own rules about port 80 would take it along. */
const RULE = ['-d', '169.254.169.254', '-p', 'tcp', '--dport', '80', '-j', 'RETURN']
const CHAINS = ['PREROUTING', 'OUTPUT']

/** iptables itself waits up to 5 s for its lock. */
const COMMAND_TIMEOUT_MS = 7_000

const WARNING_INTERVAL_MS = 10_000

/**
 * Makes the repair of contract G20, which puts that rule at the head of the nat chains. Calls that overlap share one
 * run. What fails is logged, once in 10 s at most; never rejects. Where there is no iptables there is nothing to
 * repair.
 */
export function createRouteRepair({
  run,
  signal,
  log,
}: {
  readonly run: RunCommand
  readonly signal: AbortSignal
  readonly log: Log
}): () => Promise<void> {
  const iptables = (args: readonly string[]) =>
    run('iptables', ['-w', '5', '-t', 'nat', ...args], { timeout: COMMAND_TIMEOUT_MS, signal })
  let warned = Number.NEGATIVE_INFINITY
  const warn = (chain: string, error: string | undefined) => {
    if (performance.now() - warned < WARNING_INTERVAL_MS) return
    warned = performance.now()
    log.warn({ chain, error }, 'the way to the metadata service could not be repaired')
  }
  const pin = async (chain: string) => {
    try {
      // It is there from an earlier repair, as a rule further down, or not at all.
      await iptables(['-D', chain, ...RULE])
      const { exitCode, output } = await iptables(['-I', chain, '1', ...RULE])
      if (exitCode !== 0) warn(chain, output)
    } catch (error) {
      if (isMissing(error) || signal.aborted) return
      warn(chain, error instanceof Error ? error.message : undefined)
    }
  }
  let running: Promise<unknown> | undefined
  return async () => {
    running ??= Promise.all(CHAINS.map(pin)).finally(() => {
      running = undefined
    })
    await running
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof AppError && error.kind === 'failed_precondition'
}
