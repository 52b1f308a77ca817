import { createHash } from 'node:crypto'
import { constants, type FileHandle, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { CopyOptions } from './cp.ts'
import { Failure } from './failure.ts'
import { type Progress, showProgress } from './progress.ts'
import { attempts } from './resume-attempts.ts'
import type { Sandbox } from './sandbox.ts'

interface Download {
  readonly sandbox: Sandbox
  readonly remote: string
  readonly local: string
  /** Permissions of the file. */
  readonly mode: number
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** What has come of a file. */
interface Part {
  readonly path: string
  /** Of the file that it is of; undefined: it has none, and nothing can be resumed. */
  readonly tag: string | undefined
  readonly size: number
}

/** Gets a file, and goes on with one that was cut off, also of an earlier client. Throws Failure. */
export async function getResumed(
  sandbox: Sandbox,
  remote: string,
  local: string,
  { mode, signal }: CopyOptions & { readonly mode: number },
): Promise<void> {
  const progress = showProgress(remote)
  const download = { sandbox, remote, local, mode, progress, signal }
  try {
    await attempts(
      () => attempt(download),
      () => progress.moved.bytes,
      signal,
    )
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw new Failure('internal', error.message)
    throw error
  } finally {
    progress.end()
  }
}

async function attempt(download: Download): Promise<void> {
  const { sandbox, remote, local, mode, progress, signal } = download
  const known = await partOf(download)
  // With the last byte again: a range behind the end is refused.
  const from = known?.tag === undefined ? 0 : Math.max(0, known.size - 1)
  const headers = from > 0 ? { range: `bytes=${from}-`, 'if-range': known?.tag } : {}
  const { status, header, body } = await sandbox.get({ path: remote }, signal, headers)
  const begin = status === 206 ? from : 0
  const path = status === 206 && known !== undefined ? known.path : nameOf(download, header('etag'))
  if (known !== undefined && known.path !== path) await unlink(known.path)
  progress.expect({ bytes: begin + Number(header('content-length') ?? 0), files: 1 })
  {
    await using file = await open(path, begin > 0 ? OLD : NEW, mode)
    await writeFrom(file, body, { begin, progress })
  }
  await rename(path, local)
}

async function writeFrom(
  file: FileHandle,
  body: AsyncIterable<Buffer>,
  { begin, progress }: { readonly begin: number; readonly progress: Progress },
): Promise<void> {
  let at = begin
  for await (const chunk of body) {
    for (let written = 0; written < chunk.length; )
      written += (await file.write(chunk, written, undefined, at + written)).bytesWritten
    at += chunk.length
    progress.moved.bytes = at
  }
  await file.truncate(at)
}

/** Through no link that another user has put in the place of the part. */
const OLD = constants.O_WRONLY | constants.O_NOFOLLOW
const NEW = OLD | constants.O_CREAT | constants.O_TRUNC
const SUFFIX = '.envd-part'

/** Beside the file: what it is of, and the tag that it had. */
function nameOf({ local, sandbox, remote }: Download, tag: string | undefined): string {
  const what = createHash('sha256')
    .update(JSON.stringify([sandbox.identity, remote, basename(local)]))
    .digest('hex')
  return join(dirname(local), `.${what.slice(0, 24)}-${Buffer.from(tag ?? '').toString('base64url')}${SUFFIX}`)
}

async function partOf(download: Download): Promise<Part | undefined> {
  const directory = dirname(download.local)
  const start = basename(nameOf(download, '')).slice(0, -SUFFIX.length)
  const name = (await readdir(directory)).find((one) => one.startsWith(start) && one.endsWith(SUFFIX))
  if (name === undefined) return undefined
  const tag = Buffer.from(name.slice(start.length, -SUFFIX.length), 'base64url').toString()
  const path = join(directory, name)
  return { path, tag: tag || undefined, size: (await stat(path)).size }
}
