import type { ArchiveLimits } from '../../src/archives/limits.ts'
import { type ByteBudget, createByteBudget } from '../../src/budget/budget.ts'
import { buildUploads } from '../../src/build-parts.ts'
import { composeRoutes } from '../../src/http/routes/compose.ts'
import { filesRoutes } from '../../src/http/routes/files.ts'
import { uploadsRoutes } from '../../src/http/routes/uploads.ts'
import { type Compressors, createCompressors } from '../../src/http/transfer/compressors.ts'
import type { Defaults } from '../../src/users/defaults.ts'
import { type Headers, sendWhole } from '../_util/http.ts'
import { makePeople, type People } from '../_util/people.ts'
import { type LogLine, recordingLog } from '../_util/recording-log.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { type Front, startFront } from './front.ts'

type Answer = Awaited<ReturnType<typeof sendWhole>>

/** The file routes in this process, for the users of `makePeople`; the default user is `ann`. */
export interface FilesFront extends AsyncDisposable {
  readonly front: Front
  /** What the file routes logged. */
  readonly logged: LogLine[]
  readonly people: People
  /** Where the records of resumable uploads are. */
  readonly records: string
  /** A fresh directory, 0755. */
  readonly dir: string
  readonly defaults: { -readonly [K in 'user' | 'workdir']: Defaults[K] }
  /** `GET /files?query` */
  get(query: Query, headers?: Headers): Promise<Answer>
  /** `POST /files?query` */
  post(query: Query, body: Uint8Array | string, headers?: Headers): Promise<Answer>
  /** An octet-stream to a path; gives the parsed answer. */
  put(path: string, body: Uint8Array | string, headers?: Headers): Promise<unknown>
  /** `POST /files/compose` */
  compose(message: unknown): Promise<Answer>
}

/** Query parameters, or the text behind the question mark as it is to be sent. */
export type Query = Readonly<Record<string, string>> | string

export const OCTETS = { 'content-type': 'application/octet-stream' }

/** Instead of the usual. */
interface FrontFileOptions {
  readonly stallMs?: number
  readonly strictFileUsers?: boolean
  readonly budget?: ByteBudget
  readonly compressors?: Compressors
  readonly archiveLimits?: ArchiveLimits
  /** Of unfinished resumable uploads. */
  readonly uploadBytes?: number
}

export async function startFilesFront(options: FrontFileOptions = {}): Promise<FilesFront> {
  const people = await makePeople()
  const defaults: FilesFront['defaults'] = { user: 'ann', workdir: undefined }
  const { log, lines } = recordingLog()
  const records = await makeTmpDir(0o700)
  const uploads = buildUploads(
    { uploads: { dir: records.path, maxBytes: options.uploadBytes ?? 1024 ** 3 } },
    { users: people.users, strictFileUsers: options.strictFileUsers ?? false, log },
  )
  const deps = {
    uploads,
    users: people.users,
    defaults,
    budget: createByteBudget(256 * 1024 * 1024),
    compressors: createCompressors(),
    ...options,
    // The front exists when the first request comes.
    get token() {
      return front.token
    },
    get bodies() {
      return { ...front.bodies, stallMs: options.stallMs ?? front.bodies.stallMs }
    },
    log,
  }
  const front = await startFront({
    routes: [filesRoutes(deps), composeRoutes(deps), uploadsRoutes(deps)],
  })
  const url = (query: Query) =>
    `${front.url}/files?${typeof query === 'string' ? query : new URLSearchParams({ ...query })}`
  const post: FilesFront['post'] = (query, body, headers = OCTETS) =>
    sendWhole(url(query), { method: 'POST', body, headers })
  return {
    front,
    logged: lines,
    people,
    records: records.path,
    dir: people.dir,
    defaults,
    get: (query, headers = {}) => sendWhole(url(query), { headers }),
    post,
    put: async (path, body, headers = {}) => {
      const answer = await post({ path }, body, { ...OCTETS, ...headers })
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`)
      return JSON.parse(answer.text)
    },
    compose: (message) =>
      sendWhole(`${front.url}/files/compose`, {
        method: 'POST',
        body: typeof message === 'string' ? message : JSON.stringify(message),
        headers: { 'content-type': 'application/json' },
      }),
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]()
      await people[Symbol.asyncDispose]()
      await records[Symbol.asyncDispose]()
    },
  }
}

/** The body of an error and its status, as `toMatchObject` takes it. */
export function failed(code: number, message: string): { status: number; text: string } {
  return { status: code, text: `${JSON.stringify({ code, message })}\n` }
}
