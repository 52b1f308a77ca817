import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { CopyOptions } from './cp.ts'
import { Failure } from './failure.ts'
import { existsRemote } from './places.ts'
import { type Progress, showProgress } from './progress.ts'
import { attempts } from './resume-attempts.ts'
import type { Sandbox } from './sandbox.ts'

interface Upload {
  readonly sandbox: Sandbox
  readonly file: FileHandle
  readonly size: number
  readonly remote: string
  /** Of a new file, as a number in octal digits; undefined: it is there. */
  readonly chmod: string | undefined
  /** Where the URL of the upload is kept while it is unfinished. */
  readonly record: string
  readonly progress: Progress
  readonly signal: AbortSignal
}

/** Of the tus protocol, https://tus.io/protocols/resumable-upload. */
const TUS = { 'tus-resumable': '1.0.0' }
const PIECE = { ...TUS, 'content-type': 'application/offset+octet-stream' }
const CHUNK_BYTES = 256 * 1024
/** Uploads expire after a day. */
const RECORD_MS = 2 * 24 * 60 * 60 * 1000

/**
 * Sends a file, and goes on with an upload of the same file that was cut off, also of an earlier client. Throws
 * Failure.
 */
export async function putResumed(
  sandbox: Sandbox,
  local: string,
  remote: string,
  { mode, size, signal }: CopyOptions & { readonly mode: number; readonly size: number },
): Promise<void> {
  const chmod = (await existsRemote(sandbox, remote)) ? undefined : mode.toString(8).padStart(4, '0')
  await using file = await open(local).catch((error: Error) => {
    throw new Failure('not_found', error.message)
  })
  const { ino, mtimeNs } = await file.stat({ bigint: true })
  const record = await recordOf([sandbox.identity, local, remote, size, String(ino), String(mtimeNs)])
  const progress = showProgress(local)
  progress.expect({ bytes: size, files: 1 })
  try {
    const upload = { sandbox, file, size, remote, chmod, record, progress, signal }
    await attempts(
      () => attempt(upload, mtimeNs),
      () => progress.moved.bytes,
      signal,
    )
    await unlink(record).catch(() => {})
  } finally {
    progress.end()
  }
}

/** Goes on where the daemon is. */
async function attempt(upload: Upload, modified: bigint): Promise<void> {
  const { sandbox, size, progress, signal } = upload
  const { location, offset } = (await found(upload)) ?? (await created(upload))
  progress.moved.bytes = offset
  if (offset === size) return
  const body = contentFrom(upload, offset, modified)
  const headers = { ...PIECE, 'upload-offset': String(offset), 'content-length': String(size - offset) }
  const answer = await sandbox.exchange({ method: 'PATCH', path: location, headers, body, signal })
  if (answer.status === 204) return
  // Another client has it, or it went on meanwhile, or is gone: the next attempt asks.
  if ([404, 409, 410, 423].includes(answer.status)) throw new Failure('lost', answer.refusal().message)
  await unlink(upload.record).catch(() => {})
  throw answer.refusal()
}

interface Begun {
  readonly location: string
  readonly offset: number
}

/** The upload that an earlier attempt has begun; undefined: there is none any more. */
async function found({ sandbox, record, size, signal }: Upload): Promise<Begun | undefined> {
  const location = await readFile(record, 'utf8').catch(() => undefined)
  if (location === undefined || !location.startsWith('/uploads/')) return undefined
  const answer = await sandbox.exchange({ method: 'HEAD', path: location, headers: TUS, signal })
  if (answer.status === 423) throw new Failure('lost', 'the upload is in use')
  if (answer.status === 404 || answer.status === 410) return undefined
  const offset = Number(answer.header('upload-offset'))
  if (answer.status !== 200 || !(offset <= size)) throw answer.refusal()
  return { location, offset }
}

async function created({ sandbox, remote, chmod, size, record, signal }: Upload): Promise<Begun> {
  const headers = { ...TUS, 'upload-length': String(size) }
  const query = { path: remote, chmod, mode: 'atomic' }
  const answer = await sandbox.exchange({ method: 'POST', path: '/uploads', query, headers, signal })
  const location = answer.header('location')
  if (answer.status !== 201 || location === undefined) throw answer.refusal()
  await writeFile(record, location, { mode: 0o600 })
  return { location, offset: 0 }
}

/** The rest of the file; not its end, if it is not what it was any more. */
async function* contentFrom({ file, size, progress }: Upload, offset: number, modified: bigint) {
  for (let at = offset; at < size; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(CHUNK_BYTES, size - at)), 0, undefined, at)
    at += bytesRead
    if (bytesRead === 0 || (at === size && (await file.stat({ bigint: true })).mtimeNs !== modified))
      throw new Failure('aborted', 'the file has changed while it was sent')
    progress.moved.bytes = at
    yield buffer.subarray(0, bytesRead)
  }
}

/** Where an upload of these is recorded; old records go. */
async function recordOf(what: readonly unknown[]): Promise<string> {
  const directory = join(homedir(), '.local/state/envd-ctl')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  for (const name of await readdir(directory)) {
    const path = join(directory, name)
    const old = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs > RECORD_MS,
      () => false,
    )
    if (old && name.startsWith('upload-')) await unlink(path).catch(() => {})
  }
  return join(directory, `upload-${createHash('sha256').update(JSON.stringify(what)).digest('hex')}`)
}
