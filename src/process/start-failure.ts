import { stat } from 'node:fs/promises'
import { AppError, type ErrorKind, errnoKind, errnoOf } from '../errors.ts'
import { errnoText } from '../lib/errno-text.ts'
import type { SpawnFailure } from '../native/index.ts'
import { commandLine } from './command-line.ts'
import type { LaunchRequest } from './launch.ts'

/** Errors that may be gone later. Clients try again after `resource_exhausted`, so no other error may become that. */
const EXHAUSTION = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOSPC'])

/** Whether an errno says that descriptors, processes, terminals or memory ran out. */
export function isExhaustion(code: string): boolean {
  return EXHAUSTION.has(code)
}

/**
 * The error that clients receive for pipes or a terminal that could not be made: `resource_exhausted` or `internal`.
 */
export function stdioFailure(request: LaunchRequest, error: unknown): AppError {
  const code = errnoOf(error) ?? 'EIO'
  const kind = isExhaustion(code) ? 'resource_exhausted' : errnoKind(code)
  return new AppError(kind, `${startError(request)}: ${errnoText(code)}`, { cause: error })
}

/**
 * The error that clients receive for a start that failed (contract D11, D12, D66, N3): `resource_exhausted`,
 * `permission_denied` for a user that the daemon may not become, `internal` where no process can be made,
 * `invalid_argument` for everything that the request says.
 */
export async function startFailure(request: LaunchRequest, cwd: string, failure: SpawnFailure): Promise<AppError> {
  const { code, stage } = failure
  if (stage === 'chdir' && code === 'ENOENT' && !(await exists(cwd)))
    return new AppError('invalid_argument', `cwd '${cwd}' does not exist`)
  const kind = kindOf(failure)
  if (stage === 'user' && kind === 'permission_denied') {
    const text = `cannot run as user '${request.user.name}': the daemon may not change to other users (${errnoText(code)})`
    return new AppError(kind, text, { cause: failure })
  }
  return new AppError(kind, `${startError(request)}: ${stepOf(request, cwd, failure)}: ${reason(failure)}`, {
    cause: failure,
  })
}

/** UTF-16 units of a program's path that are repeated, as PATH_MAX. */
const MAX_SHOWN = 4096

function shortened(path: string): string {
  return path.length > MAX_SHOWN ? `${path.slice(0, MAX_SHOWN)}…` : path
}

function stepOf({ config }: LaunchRequest, cwd: string, { stage }: SpawnFailure): string {
  if (stage === 'chdir') return `chdir ${cwd}`
  return stage === 'clone' || stage === 'exec' ? `fork/exec ${shortened(config.cmd)}` : stage
}

function kindOf({ stage, code }: SpawnFailure): ErrorKind {
  if (isExhaustion(code)) return 'resource_exhausted'
  if (stage === 'user') return 'permission_denied'
  return stage === 'clone' || stage === 'keeper' ? errnoKind(code) : 'invalid_argument'
}

function reason({ code }: SpawnFailure): string {
  return code === 'E2BIG'
    ? `${errnoText(code)}: one argument or variable may take 128 KiB; pass more through a file or standard input`
    : errnoText(code)
}

/** How every text about a start that failed begins (contract D11, D66). */
export function startError({ config, terminal }: Pick<LaunchRequest, 'config' | 'terminal'>): string {
  if (terminal === undefined) return `error starting process '${commandLine(config)}'`
  const { columns, rows } = terminal
  return `error starting pty with command '${commandLine(config)}' in dir '${config.cwd ?? ''}' with '${columns}' cols and '${rows}' rows`
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
