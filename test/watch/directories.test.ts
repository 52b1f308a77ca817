import { mkdir, rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { type CallOptions, call, open, type Stream } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { type FileEvent, shown } from './watch-calls.ts'

const daemon = sharedDaemon()

/** What `watch.v1.Watch/Directories` streams, as JSON. */
interface Message {
  readonly started?: Record<string, never>
  readonly change?: { readonly directory?: number; readonly event: FileEvent }
  readonly ended?: { readonly directory?: number; readonly code: string; readonly message: string }
  readonly keepalive?: Record<string, never>
}

const watch = (
  paths: readonly string[],
  { includeEntry = false, ...options }: CallOptions & { includeEntry?: boolean } = {},
) => open<Message>(daemon.url, 'watch.v1.Watch/Directories', { paths, includeEntry }, options)

/** The next messages, as `0 CREATE name` and `1 not_found`. */
async function linesOf(stream: Stream<Message>, count: number): Promise<string[]> {
  const lines: string[] = []
  while (lines.length < count) {
    const { change, ended } = await stream.next()
    if (change !== undefined) lines.push(`${change.directory ?? 0} ${shown(change.event)}`)
    if (ended !== undefined) lines.push(`${ended.directory ?? 0} ${ended.code}`)
  }
  return lines
}

async function watchers(): Promise<string | undefined> {
  const answer = await fetch(`${daemon.url}/metrics`, { headers: { accept: 'application/openmetrics-text' } })
  return (await answer.text()).split('\n').find((line) => /watchers/.test(line) && !line.startsWith('#'))
}

test('one stream has the changes of several directories, each by its place, and nothing of what is below them', async () => {
  await using dir = await makeTmpDir()
  const paths = ['a', 'b', 'c'].map((name) => `${dir.path}/${name}`)
  for (const path of paths) await mkdir(`${path}/in`, { recursive: true })
  const stream = await watch(paths)
  expect(await stream.next()).toEqual({ started: {} })
  await writeFile(`${dir.path}/b/in/unseen`, '')
  await writeFile(`${dir.path}/c/f`, 'x')
  expect(await linesOf(stream, 2)).toEqual(['2 CREATE f', '2 WRITE f'])
  await writeFile(`${dir.path}/a/g`, 'x')
  expect(await linesOf(stream, 2)).toEqual(['0 CREATE g', '0 WRITE g'])
  stream.close()
})

test('events carry the entry if that is asked for', async () => {
  await using dir = await makeTmpDir()
  const stream = await watch([dir.path], { includeEntry: true })
  await stream.next()
  await mkdir(`${dir.path}/d`)
  expect((await stream.next()).change?.event.entry).toMatchObject({ name: 'd', type: 'FILE_TYPE_DIRECTORY' })
  stream.close()
})

test('a directory that is missing, or goes, is reported, and the others go on', async () => {
  await using dir = await makeTmpDir()
  const [kept, gone] = [`${dir.path}/kept`, `${dir.path}/gone`]
  for (const path of [kept, gone]) await mkdir(path)
  const stream = await watch([`${dir.path}/missing`, gone, kept])
  expect(await stream.next()).toEqual({ started: {} })
  expect(await linesOf(stream, 1)).toEqual(['0 not_found'])
  await rm(gone, { recursive: true })
  const lines = await linesOf(stream, 2)
  expect(lines.at(-1)).toBe('1 not_found')
  await writeFile(`${kept}/f`, '')
  expect(await linesOf(stream, 1)).toEqual(['2 CREATE f'])
  stream.close()
})

test('keepalives come while nothing happens, one for the whole stream', async () => {
  await using dir = await makeTmpDir()
  await using other = await makeTmpDir()
  const stream = await watch([dir.path, other.path], { headers: { 'keepalive-ping-interval': '1' } })
  await stream.next()
  const begun = performance.now()
  for (let i = 0; i < 2; i++) expect(await stream.next()).toEqual({ keepalive: {} })
  expect(performance.now() - begun).toBeGreaterThan(1500)
  stream.close()
})

test('a burst in many directories arrives whole, and each directory keeps its order', async () => {
  await using dir = await makeTmpDir()
  const paths = Array.from({ length: 64 }, (_, index) => `${dir.path}/${index}`)
  for (const path of paths) await mkdir(path)
  const stream = await watch(paths)
  await stream.next()
  for (let round = 0; round < 20; round++) for (const path of paths) await mkdir(`${path}/${round}`)
  const lines = await linesOf(stream, 64 * 20)
  for (const index of paths.keys()) {
    const own = lines.filter((line) => line.startsWith(`${index} `)).map((line) => line.split(' ').at(-1))
    expect(own).toEqual(Array.from({ length: 20 }, (_, round) => String(round)))
  }
  stream.close()
})

test('more directories than a stream may have, and none, are refused', async () => {
  const paths = Array.from({ length: 257 }, () => '/tmp')
  for (const refused of [[], paths]) {
    const { end } = await (await watch(refused)).rest()
    expect(end.error).toMatchObject({
      code: 'invalid_argument',
      message: `1 to 256 paths can be watched, not ${refused.length}`,
    })
  }
})

test('a call whose time is over before its directories are watched leaves no watcher', async () => {
  await using dir = await makeTmpDir()
  // Those of the tests before end on their own time.
  await expect.poll(watchers).toBe('envd_watchers 0')
  const paths = Array.from({ length: 200 }, () => dir.path)
  const ends = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const stream = await watch(paths, { headers: { 'connect-timeout-ms': String(1 + (index % 5)) } })
      return (await stream.rest()).end.error?.code
    }),
  )
  expect(new Set(ends)).toEqual(new Set(['deadline_exceeded']))
  await expect.poll(watchers).toBe('envd_watchers 0')
})

test('all watchers of a stream end with it', async () => {
  await using dir = await makeTmpDir()
  const before = await watchers()
  const stream = await watch(Array.from({ length: 100 }, () => dir.path))
  await stream.next()
  stream.close()
  await expect.poll(watchers).toBe(before)
  expect((await call(daemon.url, 'filesystem.Filesystem/Stat', { path: dir.path })).status).toBe(200)
})
