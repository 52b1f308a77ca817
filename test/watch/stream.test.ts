import { chmodSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { send } from '../_util/http.ts'
import { enveloped } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { nextOf, shown, watchCalls } from './watch-calls.ts'

const daemon = sharedDaemon()

/**
 * Events for a slow reader: more than its buffer takes, with those of the sockets, in pieces that the kernel's queue
 * takes.
 */
const ROUNDS = 20
const ROUND_SIZE = 8_000
const { watchDir, createWatcher, reported } = watchCalls(() => daemon.url)

test.each([true, false])(
  'C27 a stream says start when everything is armed, then what happens (HTTP/2: %s)',
  async (http2) => {
    await using dir = await makeTmpDir()
    for (let i = 0; i < 100; i++) {
      await mkdir(`${dir.path}/${i}/in`, { recursive: true })
      const stream = await watchDir({ path: `${dir.path}/${i}`, recursive: true }, { http2 })
      await writeFile(`${dir.path}/${i}/in/f`, 'x')
      expect(await nextOf(stream, 2)).toEqual(['CREATE in/f', 'WRITE in/f'])
      stream.close()
    }
  },
)

test('C27 keepalives come while nothing happens, and every event puts them off', async () => {
  await using dir = await makeTmpDir()
  const stream = await watchDir({ path: dir.path }, { headers: { 'keepalive-ping-interval': '2' } })
  const started = performance.now()
  expect(await stream.next()).toEqual({ keepalive: {} })
  // Events every 0.3 s, 3 s long: no keepalive comes in between.
  const messages: unknown[] = []
  for (let i = 0; i < 10; i++) {
    const due = performance.now() + 300
    await expect.poll(() => performance.now() >= due).toBe(true)
    await writeFile(`${dir.path}/${i}`, '')
    messages.push(await stream.next())
  }
  expect(messages.every((message) => JSON.stringify(message).includes('CREATE'))).toBe(true)
  expect(await stream.next()).toEqual({ keepalive: {} })
  expect(performance.now() - started).toBeGreaterThan(6_900)
  stream.close()
})

test('C27 the timeout of the client ends a stream with deadline_exceeded', async () => {
  await using dir = await makeTmpDir()
  const stream = await watchDir({ path: dir.path }, { headers: { 'connect-timeout-ms': '300' } })
  expect((await stream.rest()).end.error).toMatchObject({ code: 'deadline_exceeded' })
})

test.each([
  ['removed', (root: string) => rm(root, { recursive: true }), 'REMOVE .'],
  ['moved', (root: string) => rename(root, `${root}.moved`), 'RENAME .'],
])('C33 a stream whose directory is %s reports that last and ends with not_found', async (what, act, last) => {
  await using dir = await makeTmpDir()
  const root = `${dir.path}/root`
  await mkdir(root)
  const stream = await watchDir({ path: root })
  await act(root)
  const { messages, end } = await stream.rest()
  expect(messages.map(({ filesystem }) => filesystem && shown(filesystem))).toEqual([last])
  expect(end.error).toEqual({ code: 'not_found', message: `the watched directory ${root} was ${what}` })
})

test('C26 a stream that cannot begin ends with the error', async () => {
  await using dir = await makeTmpDir()
  await expect(watchDir({ path: `${dir.path}/none` })).rejects.toThrow(/not_found.*no such file or directory/)
})

test('C39 a stream tells of entries as they are when they are told', async () => {
  await using dir = await makeTmpDir()
  const stream = await watchDir({ path: dir.path, includeEntry: true })
  await writeFile(`${dir.path}/f`, 'x')
  const { filesystem } = await stream.next()
  expect(filesystem).toMatchObject({
    name: 'f',
    type: 'EVENT_TYPE_CREATE',
    entry: { path: `${dir.path}/f`, name: 'f' },
  })
  stream.close()
})

test('J1 J2 J3 a stream of connect-python has names and types only', async () => {
  await using dir = await makeTmpDir()
  const headers = { 'user-agent': 'connect-python' }
  const stream = await watchDir({ path: dir.path, includeEntry: true }, { headers })
  expect(stream.headers['x-e2b-legacy-sdk']).toBe('true')
  await writeFile(`${dir.path}/f`, 'x')
  expect((await stream.next()).filesystem).toEqual({ name: 'f', type: 'EVENT_TYPE_CREATE' })
  stream.close()
})

test('C27 a burst is reported completely and in order', async () => {
  await using dir = await makeTmpDir()
  const stream = await watchDir({ path: dir.path })
  // Fewer than the kernel's queue takes, whatever the daemon does meanwhile.
  const names = Array.from({ length: 10_000 }, (_, i) => `f${i}`)
  for (const name of names) writeFileSync(`${dir.path}/${name}`, '')
  expect(await nextOf(stream, names.length)).toEqual(names.map((name) => `CREATE ${name}`))
  stream.close()
})

test.each([true, false])('streams that clients leave hold nothing (HTTP/2: %s)', async (http2) => {
  await using own = await startDaemon()
  await using dir = await makeTmpDir()
  await mkdir(`${dir.path}/a/b`, { recursive: true })
  const calls = watchCalls(() => own.url)
  await calls.createWatcher({ path: dir.path })
  const before = await held(own)
  for (let round = 0; round < 5; round++) {
    const options = { http2 }
    const streams = await Promise.all(
      Array.from({ length: 20 }, () => calls.watchDir({ path: dir.path, recursive: true }, options)),
    )
    for (const stream of streams) stream.close()
  }
  // Connections of the first calls may have counted in `before`.
  const nothing = async () => {
    const { descriptors, watches } = await held(own)
    return descriptors <= before.descriptors && watches === before.watches
  }
  await expect.poll(nothing).toBe(true)
})

test('a client that stops reading gets the number of events that it has missed, and delays no other', async () => {
  await using own = await startDaemon()
  await using dir = await makeTmpDir()
  const calls = watchCalls(() => own.url)
  const slow = await send(`${own.url}/filesystem.Filesystem/WatchDir`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json' },
    body: enveloped(Buffer.from(JSON.stringify({ path: dir.path }))),
  })
  const fast = await calls.watchDir({ path: dir.path })
  // Two names in turn, as equal events one after the other are reported once; long ones fill the buffers in between.
  const names = ['0', '1'].map((digit) => `${dir.path}/${digit}${'x'.repeat(200)}`)
  for (const name of names) writeFileSync(name, '')
  await nextOf(fast, names.length)
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < ROUND_SIZE; i++) chmodSync(names[i % 2] ?? '', 0o600)
    expect(await nextOf(fast, ROUND_SIZE)).toHaveLength(ROUND_SIZE)
  }
  const body = Buffer.concat(await slow.body.toArray()).toString()
  const end = /\{"error":.*\}\}?$/.exec(body)?.[0] ?? ''
  expect(JSON.parse(end)).toEqual({
    error: {
      code: 'resource_exhausted',
      message: expect.stringMatching(/^\d+ file events were missed: more than 65536 were waiting to be taken$/),
    },
  })
  fast.close()
}, 90_000)

test('a poller and a stream of one directory hear the same', async () => {
  await using dir = await makeTmpDir()
  const watcherId = await createWatcher({ path: dir.path, recursive: true })
  const stream = await watchDir({ path: dir.path, recursive: true })
  await mkdir(`${dir.path}/a/b`, { recursive: true })
  await writeFile(`${dir.path}/f`, 'x')
  const lines = await reported(watcherId)
  expect(lines).toEqual(['CREATE a', 'CREATE a/b', 'CREATE f', 'WRITE f'])
  expect(await nextOf(stream, lines.length)).toEqual(lines)
  stream.close()
})

/** Descriptors and kernel watches of a daemon. */
async function held({ pid }: Daemon): Promise<{ descriptors: number; watches: number }> {
  const descriptors = await readdir(`/proc/${pid}/fd`)
  const infos = await Promise.all(
    descriptors.map((fd) => readFile(`/proc/${pid}/fdinfo/${fd}`, 'latin1').catch(() => '')),
  )
  const lines = infos.join('').split('\n')
  return { descriptors: descriptors.length, watches: lines.filter((line) => line.startsWith('inotify ')).length }
}
