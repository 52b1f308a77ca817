import { AppError } from '../errors.ts'
import { parseJsonAs } from '../lib/parse-json.ts'
import { COMMIT, readableVersions, STATE_VERSION, VERSION } from '../version.ts'

/** What a program that may take over says of itself (`-self-test`). */
interface Candidate {
  readonly version: string
  readonly commit: string
  /** Versions of what an earlier daemon has left that it understands. */
  readonly stateVersions: readonly number[]
}

/** Runs a program; `HostCommands.run` of `src/init/host`. */
export type RunProgram = (
  file: string,
  args: readonly string[],
  limits: { readonly timeout: number; readonly signal: AbortSignal },
) => Promise<{ readonly exitCode: number | undefined; readonly output: string }>

const VERSION_MS = 10_000
const SELF_TEST_MS = 20_000
const MAX_SHOWN = 300

/** What this daemon says of itself. */
export function ownCandidate(): Candidate {
  return { version: VERSION, commit: COMMIT, stateVersions: readableVersions() }
}

/**
 * Lets a program show that it starts on this machine, by `-version` and a test on a socket of its own (`-self-test`),
 * and that it understands what this daemon leaves. Rejects with AppError, `failed_precondition` where it does not.
 */
export async function verify(program: string, run: RunProgram, signal: AbortSignal): Promise<Candidate> {
  const version = await run(program, ['-version'], { timeout: VERSION_MS, signal })
  if (version.exitCode !== 0 || !/^\d+\.\d+\.\d+\S*$/.test(version.output)) throw failed('-version', version.output)
  const test = await run(program, ['-self-test'], { timeout: SELF_TEST_MS, signal })
  const candidate = test.exitCode === 0 ? parseJsonAs(test.output, isCandidate) : undefined
  if (candidate === undefined) throw failed('-self-test', test.output)
  if (!candidate.stateVersions.includes(STATE_VERSION)) {
    const known = candidate.stateVersions.join(', ')
    throw refused(`it takes over from daemons of state version ${known}, and this one has ${STATE_VERSION}`)
  }
  return candidate
}

function isCandidate(value: unknown): value is Candidate {
  if (typeof value !== 'object' || value === null) return false
  if (!('version' in value && 'commit' in value && 'stateVersions' in value)) return false
  return typeof value.version === 'string' && typeof value.commit === 'string' && Array.isArray(value.stateVersions)
}

function failed(what: string, output: string): AppError {
  return refused(`the new program fails with ${what}: ${output.slice(-MAX_SHOWN)}`)
}

function refused(problem: string): AppError {
  return new AppError('failed_precondition', problem)
}
