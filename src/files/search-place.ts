import { isUtf8 } from 'node:buffer'
import { constants } from 'node:fs'
import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { isKind } from '../filesystem/entry.ts'
import { failure, failureKind, fileErrno } from '../filesystem/failure.ts'
import { type FileUser, permitted } from '../filesystem/file-user.ts'
import { KERNEL_FILESYSTEMS } from '../filesystem/ownership.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { unpackStatus } from '../native/entries.ts'
import { readStatus } from '../native/files.ts'
import { MAX_GLOBS, MAX_GLOBS_BYTES } from './limits.ts'
import { silentMounts } from './silent-mounts.ts'

/** Which files are searched. */
export interface Scope {
  readonly globs: readonly string[]
  readonly gitignore: boolean
  readonly hidden: boolean
  /** 0: no limit. */
  readonly depth: number
}

/** Where a search begins. */
interface SearchPlace {
  /** Where the program is started: without links. */
  readonly cwd: string
  /** What it is to search there. */
  readonly target: string
  /** The path that what it finds is shown below. */
  readonly shown: Buffer
  /** Patterns of what is not to be entered. */
  readonly closed: readonly string[]
  /** Some of that is mounted there, and its filesystem does not answer. */
  readonly silent: boolean
}

/** What the kernel makes up there has no end, and reading it may wait or have effects. */
const CLOSED_AT_ROOT = ['!/proc', '!/sys', '!/dev']

/** Who searches. */
interface Searcher {
  readonly owner: FileUser
  readonly signal: AbortSignal
}

/**
 * Looks at the path of a search. Rejects with AppError: not_found, permission_denied, invalid_argument for what cannot
 * be searched.
 * @param path absolute.
 * @param kind what it must be.
 */
export async function searchPlace(
  path: string,
  { owner, signal }: Searcher,
  kind: 'directory' | 'directory or file',
): Promise<SearchPlace> {
  const { mode, filesystem, real } = await statusOf(path, owner)
  if (!isUtf8(real) || KERNEL_FILESYSTEMS.has(Number(filesystem)))
    throw new AppError('invalid_argument', `path '${path}' cannot be searched`)
  const shown = cleanPath(path)
  if (isKind(mode, constants.S_IFDIR)) {
    const cwd = real.toString()
    const silent = await silentMounts(cwd, signal)
    const closed = [...(cwd === '/' ? CLOSED_AT_ROOT : []), ...silent.map((below) => `!/${escaped(below)}`)]
    return { cwd, target: './', shown: Buffer.from(shown), closed, silent: silent.length > 0 }
  }
  if (kind === 'directory' || !isKind(mode, constants.S_IFREG))
    throw new AppError('invalid_argument', `path '${path}' is not a ${kind}`)
  const target = `./${posix.basename(real.toString())}`
  const parents = { cwd: posix.dirname(real.toString()), shown: Buffer.from(posix.dirname(shown)) }
  return { ...parents, target, closed: [], silent: false }
}

/** A path in which no character of a pattern has a meaning. */
function escaped(path: string): string {
  return path.replace(/[\\*?[\]{}!]/g, '\\$&')
}

async function statusOf(path: string, owner: FileUser) {
  try {
    return unpackStatus(await permitted(path, () => readStatus(Buffer.from(path), owner)))
  } catch (error) {
    if (error instanceof AppError) throw error
    const kind = ['ENOENT', 'ENOTDIR'].includes(fileErrno(error) ?? '') ? 'not_found' : failureKind(error)
    throw new AppError(kind, `cannot search: ${failure('stat', path, error)}`, { cause: error })
  }
}

/** The arguments of `rg` for a scope. Throws AppError invalid_argument for more patterns than are possible. */
export function scopeArguments({ globs, gitignore, hidden, depth }: Scope, { closed }: SearchPlace): string[] {
  const bytes = globs.reduce((sum, glob) => sum + Buffer.byteLength(glob), 0)
  if (globs.length > MAX_GLOBS || bytes > MAX_GLOBS_BYTES)
    throw new AppError('invalid_argument', `a search has at most ${MAX_GLOBS} globs of ${MAX_GLOBS_BYTES} bytes in sum`)
  if (globs.some((glob) => glob === '' || glob.includes('\0')))
    throw new AppError('invalid_argument', 'a glob is empty or has a zero byte')
  return [
    ...['--no-config', '--no-messages', '--no-require-git', '--no-ignore-global', '--color=never'],
    ...(gitignore ? [] : ['--no-ignore']),
    ...(hidden ? ['--hidden'] : []),
    ...(depth > 0 ? [`--max-depth=${depth}`] : []),
    ...[...globs, ...closed].map((glob) => `--glob=${glob}`),
  ]
}

/** Where something is that the program calls `./name`, as bytes. */
export function shownPath({ shown }: SearchPlace, found: Buffer): Buffer {
  const relative = found.subarray(found.indexOf('/') + 1)
  return Buffer.concat(shown.equals(SLASH) ? [SLASH, relative] : [shown, SLASH, relative])
}

const SLASH = Buffer.from('/')
