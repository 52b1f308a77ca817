import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { tarOf } from '../../archives/make-tar.ts'
import { serveFiles, write } from '../../files/served.ts'
import { type FilesFront, OCTETS, startFilesFront } from '../files-front.ts'
import { openFilesBelow } from '../open-below.ts'
import { mountSmallDisk } from '../small-disks.ts'
import { call, create, patch } from '../tus-calls.ts'

const PAGE = 4096
const OLD = 'old content'
const NEW = Buffer.alloc(40_000, 'new content ')
const FILES = { small: Buffer.alloc(10_000, 's'), large: Buffer.alloc(100_000, 'l'), last: Buffer.alloc(5000, 'e') }
const TAR = { 'content-type': 'application/x-tar' }
const ARCHIVE = tarOf(...Object.entries(FILES).map(([name, content]) => ({ name, content })))

interface Place {
  readonly files: FilesFront
  readonly served: Awaited<ReturnType<typeof serveFiles>>
  /** Of this round. */
  readonly dir: string
}

/** Names with contents, below a directory; of a directory that of null. */
type Content = Readonly<Record<string, Buffer | string | null>>

interface Operation {
  readonly before: Content
  /** Gives the status, as over HTTP. */
  readonly run: (place: Place) => Promise<number>
  readonly after: Content
  /** Two directories change places, which not every filesystem can: 409 then, also with room. */
  readonly exchanges?: boolean
  /** What may be there after a failure; default: what was there before. */
  readonly isLeft?: (now: Content) => boolean
}

const post = (query: Record<string, string>, body: Buffer, headers?: Record<string, string>) => (place: Place) =>
  place.files
    .post({ username: 'root', ...query, path: join(place.dir, query['path'] ?? '') }, body, headers)
    .then(({ status }) => status)

const rooted = (content: Content, root: string): Content =>
  Object.fromEntries([[root, null], ...Object.entries(content).map(([name, bytes]) => [`${root}/${name}`, bytes])])

/** Every entry is whole, or not there. */
const wholeEntries = (now: Content) =>
  Object.entries(now).every(([name, bytes]) => bytes === null || same(bytes, rooted(FILES, 'out')[name] ?? ''))

const OPERATIONS: Readonly<Record<string, Operation>> = {
  'a new file': { before: {}, run: post({ path: 'f' }, NEW), after: { f: NEW } },
  'mode=create': { before: {}, run: post({ path: 'f', mode: 'create' }, NEW), after: { f: NEW } },
  'mode=atomic': { before: { f: OLD }, run: post({ path: 'f', mode: 'atomic' }, NEW), after: { f: NEW } },
  'an upload over a file': {
    before: { f: OLD },
    run: post({ path: 'f' }, NEW),
    after: { f: NEW },
    // In place where there is no room for both: what had come of the new content is there then.
    isLeft: ({ f }) => same(f ?? null, OLD) || NEW.indexOf(f ?? OLD) === 0,
  },
  'mode=append': {
    before: { f: OLD },
    run: post({ path: 'f', mode: 'append' }, NEW),
    after: { f: Buffer.concat([Buffer.from(OLD), NEW]) },
    // What was appended before the disk was full stays.
    isLeft: ({ f }) => Buffer.concat([Buffer.from(OLD), NEW]).indexOf(f ?? '') === 0,
  },
  'an archive': {
    before: {},
    run: post({ path: 'out' }, ARCHIVE, TAR),
    after: rooted(FILES, 'out'),
    isLeft: wholeEntries,
  },
  'an archive, mode=create': {
    before: {},
    run: post({ path: 'out', mode: 'create' }, ARCHIVE, TAR),
    after: rooted(FILES, 'out'),
  },
  'an archive, mode=replace, where nothing is': {
    before: {},
    run: post({ path: 'out', mode: 'replace' }, ARCHIVE, TAR),
    after: rooted(FILES, 'out'),
  },
  'an archive, mode=replace': {
    before: rooted({ kept: OLD }, 'out'),
    run: post({ path: 'out', mode: 'replace' }, ARCHIVE, TAR),
    after: rooted(FILES, 'out'),
    exchanges: true,
  },
  'a resumable upload': {
    before: { f: OLD },
    run: async ({ files, dir }) => {
      const url = await create(files, { path: join(dir, 'f'), username: 'root' }, NEW.length).catch(() => undefined)
      if (url === undefined) return 507
      const { status } = await patch(files, url, [0, NEW])
      // Finished ones are remembered for a while.
      await call(files, 'DELETE', url)
      return status
    },
    after: { f: NEW },
  },
  'an edit of three files': {
    before: { a: OLD, b: OLD, c: OLD },
    run: ({ served, dir }) =>
      asStatus(() =>
        served.edit({ files: ['a', 'b', 'c'].map((name) => write(join(dir, name), NEW.toString())) }, { user: 'root' }),
      ),
    after: { a: NEW, b: NEW, c: NEW },
  },
  'a copy of a tree': {
    before: rooted(FILES, 'from'),
    run: (place) => copy(place),
    after: { ...rooted(FILES, 'from'), ...rooted(FILES, 'to') },
  },
  'a copy in the place of a tree': {
    before: { ...rooted(FILES, 'from'), ...rooted({ kept: OLD }, 'to') },
    run: (place) => copy(place),
    after: { ...rooted(FILES, 'from'), ...rooted(FILES, 'to') },
    exchanges: true,
  },
}

async function copy({ served, dir }: Place): Promise<number> {
  const places = { source: join(dir, 'from'), destination: join(dir, 'to') }
  return asStatus(async () => {
    for await (const _ of served.copy({ ...places, recursive: true, replace: true }, { user: 'root' }));
  })
}

async function asStatus(work: () => Promise<unknown>): Promise<number> {
  try {
    await work()
    return 200
  } catch (error) {
    if (error instanceof AppError && error.kind === 'no_space') return 507
    if (error instanceof AppError && error.kind === 'aborted') return 409
    throw error
  }
}

const same = (a: Buffer | string | null, b: Buffer | string | null) =>
  a === null || b === null ? a === b : Buffer.from(a).equals(Buffer.from(b))

function equal(a: Content, b: Content): boolean {
  const names = Object.keys(a).sort()
  return names.join() === Object.keys(b).sort().join() && names.every((name) => same(a[name] ?? null, b[name] ?? null))
}

/** For messages. */
const lengths = (content: Content) =>
  Object.entries(content).map(([name, bytes]) => `${name}: ${bytes?.length ?? 'directory'}`)

async function make(dir: string, content: Content): Promise<void> {
  for (const [name, bytes] of Object.entries(content))
    await (bytes === null ? mkdir(join(dir, name)) : writeFile(join(dir, name), bytes))
}

async function read(dir: string): Promise<Content> {
  const names = await readdir(dir, { recursive: true })
  const contentOf = async (path: string) => ((await stat(path)).isDirectory() ? null : readFile(path))
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await contentOf(join(dir, name))])))
}

/** Pages that are left: none, each of the first ones, and then around the ends of files. */
const ROOM = [0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 13, 20, 21, 27, 28, 29, 30, 31, 35, 80]

describe.each(['tmpfs', 'fuse'] as const)('on a full disk (%s)', (kind) => {
  test.for(Object.entries(OPERATIONS))(
    '%s is whole or 507, and leaves nothing half',
    async ([, operation], context) => {
      await using disk = await mountSmallDisk(kind, context)
      await using files = await startFilesFront()
      await using served = await serveFiles()
      const statuses = new Set<number>()
      for (const pages of ROOM) {
        const dir = join(disk.path, `round-${pages}`)
        await mkdir(dir)
        await make(dir, operation.before)
        await disk.leave(pages * PAGE)
        const status = await operation.run({ files, served, dir })
        statuses.add(status < 300 ? 200 : status)
        const now = await read(dir)
        const isRight =
          status < 300 ? equal(now, operation.after) : (operation.isLeft?.(now) ?? equal(now, operation.before))
        expect([pages, status, isRight ? '' : lengths(now)]).toEqual([pages, status, ''])
        await rm(join(disk.path, 'filler'))
        await rm(dir, { recursive: true })
      }
      expect([...statuses].sort()).toEqual([operation.exchanges && kind === 'fuse' ? 409 : 200, 507])
      expect(await readdir(disk.path)).toEqual([])
      expect(execFileSync('find', [files.records, '-type', 'f'], { encoding: 'utf8' })).toBe('')
    },
  )
})

const BROKEN = Buffer.concat([ARCHIVE.subarray(0, -1024), Buffer.alloc(1024, 'no header')])

/** What is cut off in the middle, broken at its end or refused before its first byte; all of it leaves nothing. */
const FAILURES = [
  { query: { path: 'f', mode: 'atomic' }, body: NEW, before: { f: OLD } },
  { query: { path: 'f', mode: 'create' }, body: NEW, before: {} },
  { query: { path: 'f' }, body: NEW, before: {} },
  { query: { path: 'out', mode: 'replace' }, body: ARCHIVE, before: rooted({ kept: OLD }, 'out') },
  { query: { path: 'out', mode: 'replace' }, body: ARCHIVE, before: {} },
  { query: { path: 'out', mode: 'create' }, body: ARCHIVE, before: {} },
  { query: { path: 'out' }, body: ARCHIVE, before: {}, isLeft: wholeEntries },
] as const

describe.each(['tmpfs', 'fuse'] as const)('on a disk (%s)', (kind) => {
  test('what is cut off, broken or refused leaves nothing', async (context) => {
    await using disk = await mountSmallDisk(kind, context)
    await using files = await startFilesFront()
    // What was made is removed after its last file is closed.
    const check = (failure: (typeof FAILURES)[number], what: string) =>
      expect
        .poll(async () => {
          const now = await read(disk.path)
          const isRight = 'isLeft' in failure ? failure.isLeft(now) : equal(now, failure.before)
          return [failure.query, what, isRight ? '' : lengths(now)]
        })
        .toEqual([failure.query, what, ''])
    for (const failure of FAILURES) {
      await make(disk.path, failure.before)
      const query = { username: 'root', ...failure.query, path: join(disk.path, failure.query.path) }
      const type = failure.body === ARCHIVE ? TAR : OCTETS
      const cut = sendPart(files, query, failure.body, type)
      await expect.poll(() => openFilesBelow(disk.path)).toBeGreaterThan(0)
      cut.destroy()
      await expect.poll(() => openFilesBelow(disk.path)).toBe(0)
      await check(failure, 'cut off')
      if (failure.body === ARCHIVE) {
        expect((await files.post(query, BROKEN, type)).status).toBe(400)
        await check(failure, 'broken')
      } else {
        expect((await files.post(query, failure.body, { ...type, 'if-match': '"x"' })).status).toBe(412)
        await check(failure, 'refused')
      }
      for (const name of await readdir(disk.path)) await rm(join(disk.path, name), { recursive: true })
    }
  })
})

/** A request that stops before its end. */
function sendPart({ front }: FilesFront, query: Record<string, string>, body: Buffer, headers: Record<string, string>) {
  const target = `${front.url}/files?${new URLSearchParams(query)}`
  const length = { 'content-length': String(body.length) }
  const sending = request(target, { method: 'POST', headers: { ...headers, ...length } })
  sending.on('error', () => {})
  sending.write(body.subarray(0, -1500))
  return sending
}
