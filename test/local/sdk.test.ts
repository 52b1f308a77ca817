import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Sandbox } from 'e2b'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { type ControlPlane, startControlPlane } from './control-plane.ts'
import { connectionTo, createOn, tokenOf } from './sandbox.ts'

let plane: ControlPlane
beforeAll(async () => {
  plane = await startControlPlane()
})
afterAll(() => plane[Symbol.asyncDispose]())

const connection = () => connectionTo(plane)
const create = (options?: Parameters<typeof createOn>[1]) => createOn(plane, options)

describe('the SDK without debug mode', () => {
  test('a secure sandbox runs commands with its ids and variables, in a home of its own', async () => {
    await using first = await create({ envs: { GREETING: 'hello' } })
    await using second = await create()
    const { stdout } = await first.commands.run('echo "$GREETING $E2B_SANDBOX_ID"; echo mine >mark; ls')
    const [greeting, ...listed] = stdout.trim().split('\n')
    expect(greeting).toBe(`hello ${first.sandboxId}`)
    expect(listed).toEqual(['mark'])
    expect((await second.commands.run('ls')).stdout).toBe('')
    expect(await first.files.read('mark')).toBe('mine\n')
  })

  test('another token is refused', async () => {
    await using sandbox = await create()
    const headers = { 'e2b-sandbox-id': sandbox.sandboxId, 'e2b-sandbox-port': '49983' }
    expect((await sendWhole(`${plane.sandboxUrl}/envs`, { headers })).status).toBe(401)
    const wrong = { ...headers, 'x-access-token': 'another' }
    expect((await sendWhole(`${plane.sandboxUrl}/envs`, { headers: wrong })).status).toBe(401)
  })

  test('signed links upload and download, until they expire', async () => {
    await using sandbox = await create()
    const upload = await sandbox.uploadUrl('signed.txt', { useSignatureExpiration: 60 })
    const form = new FormData()
    form.append('file', new Blob(['by link']), 'signed.txt')
    expect((await fetch(upload, { method: 'POST', body: form })).status).toBe(200)
    const download = await sandbox.downloadUrl('signed.txt', { useSignatureExpiration: 60 })
    expect(await (await fetch(download)).text()).toBe('by link')
    expect((await fetch(`${download.replace(/signature=v1_...../, 'signature=v1_AAAAA')}`)).status).not.toBe(200)
  })

  test('information, lists and metrics answer from the live daemon', async () => {
    await using sandbox = await create({ metadata: { purpose: 'lists' } })
    expect(await sandbox.getInfo()).toMatchObject({
      sandboxId: sandbox.sandboxId,
      state: 'running',
      metadata: { purpose: 'lists' },
    })
    const page = await Sandbox.list({ ...connection(), query: { metadata: { purpose: 'lists' } } }).nextItems()
    expect(page.map(({ sandboxId }) => sandboxId)).toEqual([sandbox.sandboxId])
    await expect.poll(async () => (await sandbox.getMetrics()).length, { timeout: 10_000 }).toBeGreaterThan(1)
    expect((await sandbox.getMetrics())[0]).toMatchObject({
      cpuCount: expect.any(Number),
      memTotal: expect.any(Number),
    })
  })

  test('setTimeout moves the end, and at it the sandbox is gone', async () => {
    await using sandbox = await create({ timeoutMs: 600_000 })
    const before = (await sandbox.getInfo()).endAt.getTime()
    await sandbox.setTimeout(1000)
    expect((await sandbox.getInfo()).endAt.getTime()).toBeLessThan(before)
    await expect.poll(() => sandbox.isRunning(), { timeout: 15_000 }).toBe(false)
    await expect(sandbox.commands.run('true')).rejects.toMatchObject({
      name: expect.stringMatching(/Timeout|NotFound/),
    })
  })

  test('a sandbox that is killed during a command ends it with an error', async () => {
    await using sandbox = await create()
    const running = await sandbox.commands.run('echo begun; sleep 1000', { background: true, timeoutMs: 0 })
    const failed = expect(running.wait()).rejects.toThrow()
    expect(await sandbox.kill()).toBe(true)
    await failed
    expect(await sandbox.kill()).toBe(false)
  })

  test('a paused sandbox stands still, and goes on where it was', async () => {
    await using sandbox = await create()
    const file = join(await mkdtemp(join(tmpdir(), 'paused-')), 'count')
    await chmod(dirname(file), 0o777)
    await sandbox.commands.run(`for i in $(seq 100000); do echo $i >${file}; sleep 0.01; done`, {
      background: true,
      timeoutMs: 0,
    })
    const count = async () => Number(await readFile(file, 'utf8').catch(() => ''))
    await expect.poll(count).toBeGreaterThan(3)
    await sandbox.pause()
    expect(await Sandbox.getInfo(sandbox.sandboxId, connection())).toMatchObject({ state: 'paused' })
    const stopped = await count()
    expect(await sandbox.isRunning()).toBe(false)
    expect(await count()).toBe(stopped)
    const again = await Sandbox.connect(sandbox.sandboxId, connection())
    await expect.poll(count).toBeGreaterThan(stopped)
    expect(await again.commands.run('echo on')).toMatchObject({ stdout: 'on\n' })
  })
})

describe('the gateway', () => {
  test('getHost gives a name that reaches a server in the sandbox, and says when its port is closed', async () => {
    await using sandbox = await create({ domain: plane.env['E2B_DOMAIN'] ?? '' })
    await sandbox.commands.run('echo served >page && exec python3 -m http.server --bind 127.0.0.1 8124', {
      background: true,
      timeoutMs: 0,
    })
    const curl = async (port: number) => {
      const url = `http://${sandbox.getHost(port)}/page`
      return (await promisify(execFile)('curl', ['--silent', '--show-error', url])).stdout
    }
    await expect.poll(() => curl(8124), { timeout: 10_000 }).toBe('served\n')
    expect(JSON.parse(await curl(8125))).toMatchObject({
      code: 502,
      message: expect.stringMatching(/port is not open/),
    })
  })

  test('K30 an unknown sandbox and a paused one answer what SDKs read', async () => {
    await using sandbox = await create()
    await sandbox.pause()
    for (const id of [sandbox.sandboxId, 'ino0such0sandbox']) {
      const { status, text } = await sendWhole(`${plane.sandboxUrl}/health`, { headers: { 'e2b-sandbox-id': id } })
      expect([status, JSON.parse(text).message]).toEqual([502, 'The sandbox was not found'])
    }
  })

  test('K26 routes by headers and by host, to any port', async () => {
    await using sandbox = await create()
    const token = { 'x-access-token': tokenOf(sandbox) }
    const host = { host: `49983-${sandbox.sandboxId}.localhost` }
    expect((await sendWhole(`${plane.sandboxUrl}/envs`, { headers: { ...host, ...token } })).status).toBe(200)
    await sandbox.commands.run('echo served >page && exec python3 -m http.server --bind 127.0.0.1 8123', {
      background: true,
      timeoutMs: 0,
    })
    const page = async () => {
      const headers = { 'e2b-sandbox-id': sandbox.sandboxId, 'e2b-sandbox-port': '8123' }
      return (await sendWhole(`${plane.sandboxUrl}/page`, { headers })).text
    }
    await expect.poll(page, { timeout: 10_000 }).toBe('served\n')
  })

  test.each([
    '/init',
    '/freeze',
    '/unfreeze',
    '/fsfreeze',
    '/fsthaw',
    '/collapse',
    '/upgrade',
    '//init',
    '/x/../init',
    '/%69nit',
  ])('K27 refuses %s', async (path) => {
    await using sandbox = await create()
    const headers = { 'e2b-sandbox-id': sandbox.sandboxId, 'e2b-sandbox-port': '49983' }
    expect((await sendWhole(`${plane.sandboxUrl}${path}`, { method: 'POST', headers })).status).toBe(404)
  })

  test('K30 answers 502 in JSON for a closed port and for a sandbox that is not there', async () => {
    await using sandbox = await create()
    const ask = (id: string, port: string) =>
      sendWhole(`${plane.sandboxUrl}/`, { headers: { 'e2b-sandbox-id': id, 'e2b-sandbox-port': port } })
    for (const answer of [await ask(sandbox.sandboxId, '9'), await ask('inothing', '49983')]) {
      expect(answer.status).toBe(502)
      expect(JSON.parse(answer.text)).toMatchObject({ code: 502, message: expect.stringContaining('sandbox') })
    }
  })
})
