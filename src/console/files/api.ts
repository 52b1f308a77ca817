import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { Files } from '../../gen/files/v1/files_pb.js'
import { Filesystem } from '../../gen/filesystem/filesystem_pb.js'
import { Watch } from '../../gen/watch/v1/watch_pb.js'
import type { Session } from '../session.ts'
import { type Entry, toEntry } from './entry.ts'
import { FileFailure, failureOf } from './failure.ts'
import { downloadLink } from './links.ts'
import { nameOf, parentOf } from './paths.ts'
import type { UploadTarget } from './send-resumable.ts'
import type { WholeTarget } from './send-whole.ts'

/** A file that was read. */
interface FileContent {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly type: string
  /** Undefined: the file has none, as in /proc. */
  readonly tag: string | undefined
}

/** What must hold for a write. */
type Condition = { readonly tag: string } | 'absent' | 'none'

const OCTETS = { 'content-type': 'application/octet-stream' }

/** What the view asks the daemon for. All calls reject with what `textOf` makes a text of. */
export type FilesApi = ReturnType<typeof createFilesApi>

/** Makes it. Nothing is kept; each call ends with its signal. */
export function createFilesApi(session: Session) {
  const filesystem = createClient(Filesystem, session.transport)
  const files = createClient(Files, session.transport)
  const { directories } = createClient(Watch, session.transport)
  const queryOf = (path: string, query: Readonly<Record<string, string>> = {}) => {
    const user = session.user === '' ? {} : { username: session.user }
    return new URLSearchParams({ path, ...user, ...query }).toString()
  }
  const urlOf: typeof queryOf = (path, query) => `/files?${queryOf(path, query)}`
  const content = contentCalls(session, urlOf)
  return {
    files,
    directories,
    ...entryCalls(filesystem),
    ...content,
    /** How to send a new file in pieces. */
    uploadTo: (path: string, { replace }: { readonly replace: boolean }): UploadTarget => ({
      url: `${session.baseUrl}/uploads?${queryOf(path, { mode: replace ? 'atomic' : 'create' })}`,
      headers: session.headers(),
      connection: session.connection,
    }),
    /** How to post one. */
    postTo: (path: string, { replace, size }: { readonly replace: boolean; readonly size: number }): WholeTarget => ({
      post: (file, signal) => {
        const url = urlOf(path, { mode: replace ? 'atomic' : 'create' })
        return session.fetch(url, { method: 'POST', body: file, headers: OCTETS, signal })
      },
      read: async (signal) => (await content.read(path, size, signal)).bytes,
      creates: !replace,
      connection: session.connection,
    }),
    /** An address that the browser can open by itself. */
    linkTo: (path: string, archive?: 'tar.gz') => {
      const token = session.headers()['X-Access-Token'] ?? ''
      const options = { user: session.user, token, now: Date.now(), ...(archive === undefined ? {} : { archive }) }
      return session.baseUrl + downloadLink(path, options)
    },
  }
}

function entryCalls(filesystem: ReturnType<typeof createClient<typeof Filesystem>>) {
  return {
    /** What is in a directory, in any order. */
    async list(path: string, signal: AbortSignal): Promise<readonly Entry[]> {
      const { entries } = await filesystem.listDir({ path, depth: 1 }, { signal })
      return entries.map((entry) => toEntry(path, entry))
    },
    /** A path relative to the home, made absolute, and what is there; undefined: nothing is. */
    async stat(path: string, signal?: AbortSignal): Promise<Entry | undefined> {
      try {
        const { entry } = await filesystem.stat({ path }, signal === undefined ? {} : { signal })
        return entry && { ...toEntry(parentOf(entry.path), entry), path: entry.path, name: nameOf(entry.path) }
      } catch (error) {
        if (error instanceof ConnectError && error.code === Code.NotFound) return undefined
        throw error
      }
    },
    async makeDirectory(path: string): Promise<void> {
      await filesystem.makeDir({ path })
    },
    /** Gives a file another path; rejects if something is there. */
    async move(source: string, destination: string): Promise<void> {
      const taken = await this.stat(destination)
      if (taken !== undefined) throw new FileFailure(`It exists already: ${destination}`, 409)
      await filesystem.move({ source, destination })
    },
    /** Removes it, with all that is below. */
    async remove(path: string): Promise<void> {
      await filesystem.remove({ path })
    },
  }
}

function contentCalls(session: Session, urlOf: (path: string, query?: Readonly<Record<string, string>>) => string) {
  return {
    /** Reads a file of at most `limit` bytes; rejects with status 413 if it is larger. */
    async read(path: string, limit: number, signal?: AbortSignal): Promise<FileContent> {
      const response = await session.fetch(urlOf(path), { ...(signal && { signal }), cache: 'no-store' })
      if (!response.ok) throw await failureOf(response)
      return {
        bytes: await bytesOf(response, limit),
        type: response.headers.get('content-type') ?? '',
        tag: response.headers.get('etag') ?? undefined,
      }
    },
    /** Whether a file is still as it was read. Rejects as `read`. */
    async compare(path: string, tag: string): Promise<'same' | 'changed' | 'gone'> {
      const response = await session.fetch(urlOf(path), { headers: { 'if-none-match': tag }, cache: 'no-store' })
      if (response.status === 304) return 'same'
      if (response.status === 404) return 'gone'
      if (!response.ok) throw await failureOf(response)
      await response.body?.cancel()
      return 'changed'
    },
    /**
     * Writes a file whole. Rejects with status 412 if the condition does not hold. @returns its new tag.
     */
    async write(path: string, content: BlobPart, condition: Condition): Promise<string | undefined> {
      const headers = { ...OCTETS, ...conditionHeader(condition) }
      const body = new Blob([content])
      const send = (mode: Readonly<Record<string, string>>) =>
        session.fetch(urlOf(path, mode), { method: 'POST', headers, body })
      let response = await send({ mode: 'atomic' })
      // A mount point, or a directory that takes no files: then in its place.
      if (response.status === 409) response = await send({ mode: 'overwrite' })
      if (!response.ok) throw await failureOf(response)
      return response.headers.get('etag') ?? undefined
    },
  }
}

function conditionHeader(condition: Condition): Readonly<Record<string, string>> {
  if (condition === 'none') return {}
  return condition === 'absent' ? { 'if-none-match': '*' } : { 'if-match': condition.tag }
}

/** Gives up as soon as there is more, whatever the length said. */
async function bytesOf(response: Response, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = []
  let length = 0
  const reader = response.body?.getReader()
  for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) {
    length += read.value.length
    pieces.push(read.value)
    if (length <= limit) continue
    await reader?.cancel()
    throw new FileFailure('Too large to be shown', 413)
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer())
}
