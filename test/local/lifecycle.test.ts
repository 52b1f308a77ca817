import { Sandbox } from 'e2b'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { type ControlPlane, startControlPlane } from './control-plane.ts'
import { connectionTo, createOn } from './sandbox.ts'

let plane: ControlPlane
beforeAll(async () => {
  plane = await startControlPlane()
})
afterAll(() => plane[Symbol.asyncDispose]())

const connection = () => connectionTo(plane)
const SECOND_MS = 1000

test('as root every sandbox finds its own home at /home/user, by commands and by the file API', async (context) => {
  needsNamespace(context)
  await using first = await createOn(plane)
  await using second = await createOn(plane)
  expect((await first.commands.run('pwd; echo ~; stat -c %U /home/user')).stdout).toBe('/home/user\n/home/user\nuser\n')
  await first.files.write('/home/user/mine', 'first')
  expect(await first.files.read('mine')).toBe('first')
  expect((await second.commands.run('ls -A /home/user')).stdout).toBe('')
})

describe('timeouts', () => {
  test('connect extends the timeout and never shortens it', async () => {
    await using sandbox = await createOn(plane, { timeoutMs: 600 * SECOND_MS })
    const end = async () => (await sandbox.getInfo()).endAt.getTime()
    const before = await end()
    await Sandbox.connect(sandbox.sandboxId, { ...connection(), timeoutMs: 10 * SECOND_MS })
    expect(await end()).toBe(before)
    await Sandbox.connect(sandbox.sandboxId, { ...connection(), timeoutMs: 1200 * SECOND_MS })
    expect(await end()).toBeGreaterThan(before + 500 * SECOND_MS)
  })

  test('one that pauses at its timeout resumes at the first request if it was asked for', async () => {
    await using sandbox = await createOn(plane, { lifecycle: { onTimeout: 'pause', autoResume: true } })
    const { pid } = await sandbox.commands.run('exec sleep 1000', { background: true, timeoutMs: 0 })
    await sandbox.setTimeout(0)
    const state = async () => (await Sandbox.getInfo(sandbox.sandboxId, connection())).state
    await expect.poll(state).toBe('paused')
    expect((await sandbox.commands.list()).map((process) => process.pid)).toContain(pid)
    expect(await state()).toBe('running')
  })

  test('one without memory loses its processes and keeps its files', async () => {
    await using sandbox = await createOn(plane)
    await sandbox.commands.run('echo kept >file; exec sleep 1000', { background: true, timeoutMs: 0 }).catch(() => {})
    await expect.poll(() => sandbox.files.exists('file')).toBe(true)
    await sandbox.pause({ keepMemory: false })
    expect(await sandbox.isRunning()).toBe(false)
    const again = await Sandbox.connect(sandbox.sandboxId, connection())
    expect(await again.commands.list()).toEqual([])
    expect(await again.files.read('file')).toBe('kept\n')
  })

  test('one that is resumed from its files alone loses its processes', async () => {
    await using sandbox = await createOn(plane)
    await sandbox.commands.run('exec sleep 1000', { background: true, timeoutMs: 0 })
    await sandbox.pause()
    const again = await Sandbox.connect(sandbox.sandboxId, { ...connection(), onResume: 'reboot' })
    expect(await again.commands.list()).toEqual([])
  })
})

test('a killed sandbox cuts its streams, and what ran in it is gone', async () => {
  await using sandbox = await createOn(plane)
  const pids: string[] = []
  const running = await sandbox.commands.run('trap "" TERM; setsid sleep 1000 & echo $! $$; wait', {
    background: true,
    timeoutMs: 0,
    onStdout: (text) => void pids.push(...text.trim().split(' ')),
  })
  await expect.poll(() => pids.length).toBe(2)
  const failed = expect(running.wait()).rejects.toMatchObject({ message: expect.not.stringMatching(/timed? ?out/i) })
  await sandbox.kill()
  await failed
  for (const pid of pids) expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH')
})

describe('information', () => {
  test('lifecycle, network and internet access are reported as they were asked for', async () => {
    await using sandbox = await createOn(plane, {
      allowInternetAccess: false,
      network: { allowOut: ['8.8.8.8'], denyOut: ['0.0.0.0/0'] },
      lifecycle: { onTimeout: 'pause', autoResume: true },
    })
    expect(await sandbox.getInfo()).toMatchObject({
      allowInternetAccess: false,
      network: { allowOut: ['8.8.8.8'], denyOut: ['0.0.0.0/0'] },
      lifecycle: { onTimeout: 'pause', autoResume: true },
    })
    await using plain = await createOn(plane)
    expect(await plain.getInfo()).toMatchObject({ lifecycle: { onTimeout: 'kill', autoResume: false } })
  })

  test('lists begin with the newest, or the oldest, and are cut by template and start', async () => {
    const metadata = { of: 'the list' }
    await using first = await createOn(plane, { metadata })
    await using second = await createOn(plane, { metadata }, 'other')
    await using third = await createOn(plane, { metadata })
    const ids = [first, second, third].map(({ sandboxId }) => sandboxId)
    const list = async (options: Parameters<typeof Sandbox.list>[0], query = {}) => {
      const pages = Sandbox.list({ ...connection(), ...options, query: { metadata, ...query } })
      const found: string[] = []
      while (pages.hasNext) found.push(...(await pages.nextItems()).map(({ sandboxId }) => sandboxId))
      return found
    }
    expect(await list({})).toEqual(ids.toReversed())
    expect(await list({ order: 'asc', limit: 1 })).toEqual(ids)
    expect(await list({}, { template: 'other' })).toEqual([second.sandboxId])
    const { startedAt } = await first.getInfo()
    expect(await list({ order: 'asc' }, { startedAfter: startedAt })).toEqual(ids.slice(1))
  })

  test('a paused one answers as one that is not there, and its metrics are empty', async () => {
    await using sandbox = await createOn(plane)
    await sandbox.pause()
    const headers = { 'e2b-sandbox-id': sandbox.sandboxId }
    const answer = await sendWhole(`${plane.sandboxUrl}/health`, { headers })
    expect([answer.status, JSON.parse(answer.text).message]).toEqual([502, 'The sandbox was not found'])
    expect(await Sandbox.getMetrics(sandbox.sandboxId, connection())).toEqual([])
  })
})
