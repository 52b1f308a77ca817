import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { startMicroVm } from '../../_util/micro-vm.ts'
import { needsNamespace } from '../../_util/namespace.ts'
import { shell } from '../../_util/rpc.ts'
import { hashOf, init } from '../../http/init-calls.ts'
import { OPTIONS } from './fake-mmds.ts'

const IDS = 'echo $E2B_SANDBOX $E2B_SANDBOX_ID $E2B_TEMPLATE_ID'
const withToken = { 'x-access-token': 'secret' }

async function idsOf(url: string, headers: Record<string, string> = {}): Promise<string> {
  return String((await shell(url, IDS, { headers })).stdout).trim()
}

test('G10 G11 A12 A14 a daemon in a microVM learns at 169.254.169.254 who it is', async (context) => {
  needsNamespace(context)
  await using vm = await startMicroVm()
  await expect.poll(() => vm.file('.E2B_TEMPLATE_ID')).toBe('template')
  expect(await vm.file('.E2B_SANDBOX_ID')).toBe('i-sandbox')
  expect((await stat(join(vm.runDir, '.E2B_SANDBOX_ID'))).mode & 0o7777).toBe(0o644)
  expect(await idsOf(vm.url)).toBe('true i-sandbox template')
  expect(vm.mmds.requests.slice(0, 2)).toMatchObject([
    { method: 'PUT', path: '/latest/api/token' },
    { method: 'GET', path: '/' },
  ])
})

test('K4 K6 F21 a create: the template is resumed under another name, and the answer to /init comes with it', async (context) => {
  needsNamespace(context)
  await using vm = await startMicroVm({ options: { ...OPTIONS, accessTokenHash: hashOf('') } })
  await expect.poll(() => vm.file('.E2B_TEMPLATE_ID')).toBe('template')
  vm.mmds.options = { ...OPTIONS, instanceID: 'i-created', accessTokenHash: hashOf('secret') }
  expect((await init(vm, { accessToken: 'wrong' })).status).toBe(401)
  const body = { accessToken: 'secret', lifecycleID: 'life', envVars: { A: '1' }, timestamp: new Date().toISOString() }
  expect((await init(vm, body, withToken)).status).toBe(204)
  expect(await idsOf(vm.url, withToken)).toBe('true i-created template')
  await expect.poll(() => vm.file('.E2B_SANDBOX_ID')).toBe('i-created')
  expect((await sendWhole(`${vm.url}/envs`)).status).toBe(401)
})

test('A37 K10 a daemon that starts anew is open until /init sends the token of before', async (context) => {
  needsNamespace(context)
  for (let boot = 0; boot < 2; boot++) {
    await using vm = await startMicroVm({ options: { ...OPTIONS, accessTokenHash: hashOf('secret') } })
    expect((await sendWhole(`${vm.url}/envs`)).status).toBe(200)
    expect((await init(vm, { accessToken: 'other' })).status).toBe(401)
    expect((await init(vm, { accessToken: 'secret', defaultUser: 'user' })).status).toBe(204)
    expect((await sendWhole(`${vm.url}/envs`)).status).toBe(401)
    expect((await sendWhole(`${vm.url}/envs`, { headers: withToken })).status).toBe(200)
  }
})

test('G20 F9 rules of the guest that take its requests elsewhere are overruled by an /init', async (context) => {
  needsNamespace(context)
  await using vm = await startMicroVm({ options: { ...OPTIONS, accessTokenHash: hashOf('secret') } })
  const redirect = 'iptables -t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 9'
  const { end } = await shell(vm.url, redirect)
  if (end?.exitCode !== undefined && end.exitCode !== 0) context.skip('needs iptables with nat tables')
  await expect.poll(() => vm.file('.E2B_TEMPLATE_ID')).toBe('template')
  const before = vm.mmds.requests.length
  expect((await init(vm, { accessToken: 'other' })).status).toBe(401)
  expect(vm.mmds.requests.length).toBeGreaterThan(before)
  expect((await init(vm, { accessToken: 'secret' })).status).toBe(204)
  const rules = String((await shell(vm.url, 'iptables -t nat -S OUTPUT', { headers: withToken })).stdout)
  expect(rules.split('\n').filter((rule) => rule.startsWith('-A'))).toEqual([
    '-A OUTPUT -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j RETURN',
    '-A OUTPUT -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 9',
  ])
})

test('F8 a daemon with -isnotfc never asks', async (context) => {
  needsNamespace(context)
  await using vm = await startMicroVm({
    args: ['-isnotfc'],
    options: { ...OPTIONS, accessTokenHash: hashOf('secret') },
  })
  expect((await init(vm, { accessToken: 'first' })).status).toBe(204)
  expect((await init(vm, { accessToken: 'secret' })).status).toBe(401)
  expect((await init(vm, {})).status).toBe(401)
  expect((await init(vm, { accessToken: 'first' })).status).toBe(204)
  expect(vm.mmds.requests).toEqual([])
  expect(await vm.file('.E2B_SANDBOX_ID')).toBeUndefined()
})

test('tokens and hashes show neither in the log nor in the environment of commands', async (context) => {
  needsNamespace(context)
  const hash = hashOf('canary-token')
  await using vm = await startMicroVm({ args: ['-verbose'], options: { ...OPTIONS, accessTokenHash: hash } })
  await init(vm, { accessToken: 'canary-wrong' })
  await init(vm, { accessToken: 'canary-token', envVars: { SECRET: 'canary-value' } })
  const env = String((await shell(vm.url, 'env', { headers: { 'x-access-token': 'canary-token' } })).stdout)
  expect(env.match(/canary-\w+/g)).toEqual(['canary-value'])
  const { stdout, stderr } = await vm.stop()
  expect(stdout).toContain('"level"')
  for (const text of ['canary', hash, vm.mmds.token]) expect(stdout + stderr).not.toContain(text)
})
