import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { timeOf } from '../../_util/fastest.ts'
import { sendWhole } from '../../_util/http.ts'
import { call, shell } from '../../_util/rpc.ts'
import { type FrozenDaemon, startFrozenDaemon } from './frozen-daemon.ts'

const post = (daemon: FrozenDaemon, path: string, options: { body?: string; signal?: AbortSignal } = {}) =>
  sendWhole(daemon.url + path, { method: 'POST', headers: OCTETS, ...options })

const OCTETS = { 'content-type': 'application/octet-stream' }

const done = { status: 204, text: '', headers: { 'cache-control': 'no-store' } }

test('B60 freezing and thawing the root, each twice, is 204 and not to be cached', async (context) => {
  await using daemon = await startFrozenDaemon(context)
  expect(await post(daemon, '/fsthaw')).toMatchObject(done)
  expect(await post(daemon, '/fsfreeze')).toMatchObject(done)
  expect(await daemon.takesWrites()).toBe(false)
  expect(await post(daemon, '/fsfreeze')).toMatchObject(done)
  expect(await post(daemon, '/fsthaw')).toMatchObject(done)
  expect(await daemon.takesWrites()).toBe(true)
  expect(await post(daemon, '/fsthaw')).toMatchObject(done)
})

test('B60 what others froze is frozen and can be thawed', async (context) => {
  await using daemon = await startFrozenDaemon(context)
  await daemon.freeze()
  expect(await post(daemon, '/fsfreeze')).toMatchObject(done)
  expect(await daemon.takesWrites()).toBe(false)
  expect(await post(daemon, '/fsthaw')).toMatchObject(done)
  expect(await daemon.takesWrites()).toBe(true)
})

test('H12 while the disk that holds the daemon and its log is frozen everything but writing goes on', async (context) => {
  await using daemon = await startFrozenDaemon(context)
  const { url } = daemon
  expect((await post(daemon, '/files?path=/tmp/before', { body: 'kept' })).status).toBe(200)
  expect(await post(daemon, '/fsfreeze')).toMatchObject(done)
  // Enough lines that a log which waits for the disk would fill what a pipe or a buffer of stdio holds.
  for (let i = 0; i < 300; i++) expect((await call(url, 'process.Process/List', {})).status).toBe(200)
  expect((await sendWhole(`${url}/health`)).status).toBe(204)
  expect(JSON.parse((await sendWhole(`${url}/metrics`)).text)).toMatchObject({ cpu_count: expect.any(Number) })
  expect((await sendWhole(`${url}/envs`)).status).toBe(200)
  expect((await sendWhole(`${url}/files?path=/tmp/before`)).text).toBe('kept')
  expect((await call(url, 'filesystem.Filesystem/Stat', { path: '/tmp/before' })).status).toBe(200)
  expect((await call(url, 'filesystem.Filesystem/ListDir', { path: '/tmp' })).status).toBe(200)
  expect((await post(daemon, '/init', { body: '{"envVars":{"A":"1"}}' })).status).toBe(204)
  expect(String((await shell(url, 'cat /tmp/before; echo $A')).stdout)).toBe('kept1\n')
  expect(await daemon.takesWrites()).toBe(false)
  expect(await post(daemon, '/fsthaw')).toMatchObject(done)
  await expect.poll(daemon.log).toContain('filesystem thawed')
})

const freezers = [
  { who: 'by the daemon', freeze: (daemon: FrozenDaemon) => post(daemon, '/fsfreeze') },
  { who: 'by others', freeze: (daemon: FrozenDaemon) => daemon.freeze() },
]

test.for(freezers)(
  'H12 60 uploads into a disk frozen $who hold up nothing and arrive whole',
  async ({ freeze }, context) => {
    await using daemon = await startFrozenDaemon(context)
    const { url } = daemon
    await freeze(daemon)
    const text = 'x'.repeat(100_000)
    const uploads = Array.from({ length: 60 }, (_, i) => post(daemon, `/files?path=/tmp/new/${i}`, { body: text }))
    const others = [
      call(url, 'filesystem.Filesystem/MakeDir', { path: '/tmp/made' }),
      call(url, 'filesystem.Filesystem/Move', { source: '/etc/group', destination: '/etc/moved' }),
      call(url, 'filesystem.Filesystem/Remove', { path: '/etc/passwd-' }),
    ]
    await expect.poll(() => waiting(daemon.pid)).toBeGreaterThanOrEqual(12)
    for (let i = 0; i < 3; i++) {
      expect((await sendWhole(`${url}/health`)).status).toBe(204)
      expect((await sendWhole(`${url}/metrics`)).status).toBe(200)
      expect((await call(url, 'filesystem.Filesystem/ListDir', { path: '/tmp' })).status).toBe(200)
      expect((await sendWhole(`${url}/files?path=/etc/passwd`)).text).toContain('root:')
    }
    const before = await samples(url)
    await expect.poll(() => samples(url)).toBeGreaterThan(before)
    expect(await post(daemon, '/fsthaw')).toMatchObject(done)
    for (const { status } of await Promise.all(uploads)) expect(status).toBe(200)
    for (const { status } of await Promise.all(others)) expect(status).toBe(200)
    for (let i = 0; i < 60; i++) expect(await readFile(join(daemon.root, `tmp/new/${i}`), 'utf8')).toBe(text)
  },
)

test('H12 B60 20 freezes and thaws at once take turns, and the last thaw counts', async (context) => {
  await using daemon = await startFrozenDaemon(context)
  const calls = Array.from({ length: 20 }, (_, i) => post(daemon, i % 2 === 0 ? '/fsfreeze' : '/fsthaw'))
  for (const answer of await Promise.all(calls)) expect(answer).toMatchObject(done)
  expect(await post(daemon, '/fsthaw')).toMatchObject(done)
  expect(await daemon.takesWrites()).toBe(true)
})

test('B60 a freeze whose client leaves, waiting for its turn or for the disk, leaves nothing frozen', async (context) => {
  await using daemon = await startFrozenDaemon(context)
  for (let i = 0; i < 20; i++) {
    const impatient = new AbortController()
    const calls = [0, 1, 2].map(() => post(daemon, '/fsfreeze', { signal: impatient.signal }).catch(() => undefined))
    await sendWhole(`${daemon.url}/health`)
    impatient.abort()
    const answers = await Promise.all(calls)
    // One that was answered before its client left stays in force, as the client knows of it.
    if (answers.some((answer) => answer !== undefined)) await post(daemon, '/fsthaw')
    // Takes its turn after the freezes that are still under way.
    expect((await post(daemon, '/fsthaw')).status).toBe(204)
    expect(await daemon.takesWrites()).toBe(true)
  }
})

test('a thaw whose client leaves is done', async (context) => {
  await using daemon = await startFrozenDaemon(context)
  for (let i = 0; i < 5; i++) {
    expect((await post(daemon, '/fsfreeze')).status).toBe(204)
    const impatient = new AbortController()
    const calls = [0, 1, 2].map(() => post(daemon, '/fsthaw', { signal: impatient.signal }).catch(() => undefined))
    await expect.poll(daemon.log).toMatch(/filesystem thawed/)
    impatient.abort()
    await Promise.all(calls)
    await expect.poll(() => daemon.takesWrites()).toBe(true)
  }
})

test('A7 H12 a daemon that stops thaws what it froze, and ends with 0', async (context) => {
  await using daemon = await startFrozenDaemon(context)
  expect((await post(daemon, '/fsfreeze')).status).toBe(204)
  const uploads = Array.from({ length: 20 }, (_, i) => post(daemon, `/files?path=/tmp/${i}`, { body: 'x' }))
  const settled = Promise.allSettled(uploads)
  await expect.poll(() => waiting(daemon.pid)).toBeGreaterThanOrEqual(12)
  // It promises 5 s, and as long again is for a busy machine; without the thaw the uploads hold it up for ever.
  expect(await timeOf(async () => expect(await daemon.stop()).toBe(0))).toBeLessThan(10_000)
  expect(await daemon.takesWrites()).toBe(true)
  await settled
})

/** Threads of a process that wait for a disk: of the pool's 16 at most 12 may, and one for the log. */
async function waiting(pid: number): Promise<number> {
  const states = await Promise.all(
    (await readdir(`/proc/${pid}/task`)).map((thread) =>
      readFile(`/proc/${pid}/task/${thread}/stat`, 'latin1').catch(() => ''),
    ),
  )
  return states.filter((stat) => /\) D /.test(stat)).length
}

async function samples(url: string): Promise<number> {
  return JSON.parse((await sendWhole(`${url}/metrics`)).text).ts
}
