import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { MAX_PROCESSES } from '../../src/process/registry.ts'
import { VERSION } from '../../src/version.ts'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { METHODS, nameOf, SERVICES } from '../rpc/services.ts'

interface Feature {
  readonly name: string
  readonly on: boolean
  readonly reason: string
}

interface Answer {
  readonly compatibilityVersion: string
  readonly services: readonly {
    readonly name: string
    readonly methods: readonly { readonly name: string; readonly maxMessageBytes: number }[]
  }[]
  readonly limits: readonly { readonly name: string; readonly value: number }[]
  readonly features: readonly Feature[]
}

async function ask(url: string): Promise<Answer> {
  const answer = await sendWhole(`${url}/capabilities`)
  expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json; charset=utf-8' } })
  return JSON.parse(answer.text)
}

const featureOf = ({ features }: Answer, name: string) => features.find((feature) => feature.name === name)

test('capabilities name every method of the protos, and the limits that are in force', async () => {
  await using daemon = await startDaemon({ args: ['-isnotfc', '-output-window', '1048576'] })
  const answer = await ask(daemon.url)
  expect(answer.compatibilityVersion).toBe(VERSION)
  const named = answer.services.flatMap(({ name, methods }) => methods.map((method) => `${name}/${method.name}`))
  expect(named.sort()).toEqual(METHODS.map(nameOf).sort())
  expect(answer.services.length).toBe(SERVICES.length)
  const limits = Object.fromEntries(answer.limits.map(({ name, value }) => [name, value]))
  expect(limits).toMatchObject({ processes: MAX_PROCESSES, output_window_bytes: 1_048_576, body_stall_seconds: 60 })
  expect(limits['waiting_bytes']).toBeGreaterThan(1024 * 1024)
  const process = answer.services.find(({ name }) => name === 'process.Process')
  const sizes = Object.fromEntries(process?.methods.map(({ name, maxMessageBytes }) => [name, maxMessageBytes]) ?? [])
  expect(sizes).toMatchObject({ List: 1024 * 1024, Start: 16 * 1024 * 1024, SendInput: 24 * 1024 * 1024 })
})

test('a message of the named size is taken and one above it is refused', async () => {
  await using daemon = await startDaemon()
  const { services } = await ask(daemon.url)
  const files = services.find(({ name }) => name === 'filesystem.Filesystem')
  const limit = files?.methods.find(({ name }) => name === 'Stat')?.maxMessageBytes ?? 0
  const sent = (bytes: number) => {
    const rest = bytes - JSON.stringify({ path: '/', x: '' }).length
    return call(daemon.url, 'filesystem.Filesystem/Stat', { path: '/', x: 'x'.repeat(rest) })
  }
  expect((await sent(limit)).status).toBe(200)
  expect((await sent(limit + 1)).body).toMatchObject({ code: 'resource_exhausted' })
})

test('features are on or off as the parts are, each with its reason', async () => {
  await using daemon = await startDaemon({ args: ['-isnotfc', '-no-cgroups', '-forward-address', '203.0.113.7'] })
  const answer = await ask(daemon.url)
  expect(featureOf(answer, 'cgroups')).toEqual({ name: 'cgroups', on: false, reason: 'switched off' })
  expect(featureOf(answer, 'file_search')).toMatchObject({ on: true })
  expect(featureOf(answer, 'freeze')).toMatchObject({ on: false, reason: 'no cgroups: switched off' })
  expect(featureOf(answer, 'metadata_service')).toMatchObject({ on: false })
  expect(featureOf(answer, 'forwarding')).toMatchObject({ on: false, reason: 'no interface has 203.0.113.7' })
  await using other = await startDaemon({
    args: ['-isnotfc', '-cgroup-root', '/proc', '-forward-address', '127.0.0.9'],
  })
  const second = await ask(other.url)
  expect(featureOf(second, 'cgroups')).toMatchObject({ on: false, reason: '/proc: no cgroup2' })
  expect(featureOf(second, 'forwarding')).toEqual({ name: 'forwarding', on: true, reason: 'at 127.0.0.9' })
})

test('A34 capabilities need no token, over HTTP and as an RPC, and say nothing of it', async () => {
  await using daemon = await startDaemon()
  const token = 'a-token-that-nobody-guesses'
  await sendWhole(`${daemon.url}/init`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ accessToken: token, envVars: { SECRET: 'a-value-of-a-variable' } }),
  })
  expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(401)
  const answer = await sendWhole(`${daemon.url}/capabilities`)
  expect(answer.status).toBe(200)
  expect(answer.text).not.toMatch(/a-token-that|a-value-of/)
  expect((await call(daemon.url, 'capabilities.v1.Capabilities/Get', {})).status).toBe(200)
})

test('envd -capabilities prints what the daemon of that port answers, and fails without one', async () => {
  const daemon = await startDaemon()
  const port = new URL(daemon.url).port
  const print = () => promisify(execFile)('scripts/envd', ['-capabilities', '-address', 'localhost', '-port', port])
  expect(JSON.parse((await print()).stdout)).toEqual(await ask(daemon.url))
  await daemon[Symbol.asyncDispose]()
  await expect(print()).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no daemon says what it can'),
  })
})
