import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { VERSION } from '../../../src/version.ts'
import { sendWhole } from '../../_util/http.ts'
import { startFront } from '../front.ts'
import { at, envOf, init, now } from '../init-calls.ts'

test('F1 F5 success is 204, not to be cached, and names the version', async () => {
  await using front = await startFront()
  expect(await init(front, {})).toMatchObject({
    status: 204,
    text: '',
    headers: { 'x-envd-version': VERSION, 'cache-control': 'no-store' },
  })
})

test('F1 errors name the version as well', async () => {
  await using front = await startFront()
  expect((await init(front, '{')).headers['x-envd-version']).toBe(VERSION)
  front.token.set('secret')
  expect((await init(front, {})).headers['x-envd-version']).toBe(VERSION)
})

const nothing = [undefined, '', ' \n', '{}', 'null', '{"unknown":[1,{}],"other":null}']

test.each(nothing)('F4 the body %j is success and changes nothing', async (body) => {
  await using front = await startFront()
  front.defaults.env.replaceUser([['A', '1']])
  for (const type of ['application/json', 'text/plain; charset=x', 'nonsense;;', '']) {
    expect((await init(front, body, type === '' ? {} : { 'content-type': type })).status).toBe(204)
  }
  expect(envOf(front)).toEqual({ A: '1', E2B_SANDBOX: 'false' })
  expect(front.token.isSet).toBe(false)
})

test('F4 a request without a body at all is success', async () => {
  await using front = await startFront()
  expect((await sendWhole(`${front.url}/init`, { method: 'POST', http2: true })).status).toBe(204)
})

test('F4 keys match in any case, the last one counts', async () => {
  await using front = await startFront()
  const body = '{"ENVVARS":{"A":"1"},"defaultuser":"one","DefaultUser":"two","ACCESStoken":"secret"}'
  expect((await init(front, body)).status).toBe(204)
  expect(envOf(front)).toEqual({ A: '1', E2B_SANDBOX: 'false' })
  expect(front.defaults.user).toBe('two')
  expect(front.token.matches('secret')).toBe(true)
})

const malformed = [
  '{',
  '[]',
  '1',
  '"text"',
  '{} x',
  '\u0000',
  { accessToken: '' },
  { accessToken: 5 },
  { accessToken: ['x'] },
  '{"accessToken":"a\\"b"}',
  '{"accessToken":"\\u0061bc"}',
  { accessToken: 'a\\b' },
  { envVars: [] },
  { envVars: 'A=1' },
  { envVars: { A: 1 } },
  { envVars: { A: { B: 'x' } } },
  '{"acces\\u0073Token":"a\\\\b"}',
  { caBundle: 5 },
  { hyperloopIP: ['10.0.0.1'] },
  { lifecycleID: 1 },
  { volumeMounts: {} },
  { volumeMounts: ['host:/share'] },
  { volumeMounts: [null] },
  { volumeMounts: [{ nfs_target: 1, path: '/x' }] },
  { volumeMounts: [{ nfs_target: 'host:/x', path: [] }] },
  { defaultUser: 7 },
  { defaultWorkdir: {} },
  { timestamp: 1700000000 },
  { timestamp: '' },
  { timestamp: 'yesterday' },
  { timestamp: '2026-02-30T00:00:00Z' },
]

test.each(malformed)('F4 %j is refused and nothing of it is applied', async (body) => {
  await using front = await startFront()
  const whole = typeof body === 'string' ? body : { envVars: { CANARY: '1' }, defaultWorkdir: '/canary', ...body }
  const answer = await init(front, whole)
  expect(answer).toMatchObject({ status: 400, headers: { 'content-type': 'application/json; charset=utf-8' } })
  expect(JSON.parse(answer.text)).toEqual({ code: 400, message: expect.any(String) })
  expect(envOf(front)).toEqual({ E2B_SANDBOX: 'false' })
  expect(front.defaults.workdir).toBeUndefined()
  expect(front.initialization.initialized).toBe(false)
  expect(front.logged).toEqual([])
})

test('F4 A36 escapes elsewhere do not matter, and null is no token', async () => {
  await using front = await startFront()
  const body = String.raw`{"envVars":{"A":"\u0061\n","accessToken":"\u0061"},"accessToken":"plain"}`
  expect((await init(front, body)).status).toBe(204)
  expect(envOf(front)).toEqual({ A: 'a\n', accessToken: 'a', E2B_SANDBOX: 'false' })
  expect(front.token.matches('plain')).toBe(true)
  await using other = await startFront()
  expect((await init(other, { accessToken: null, envVars: { A: null }, timestamp: null })).status).toBe(204)
  expect(other.token.isSet).toBe(false)
  expect(envOf(other)).toEqual({ A: '', E2B_SANDBOX: 'false' })
})

test('F7 F14 F8 the first call sets the token, then only the same one is accepted, and it never changes', async () => {
  await using front = await startFront()
  expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
  expect((await init(front, { accessToken: 'secret', defaultWorkdir: '/a' })).status).toBe(204)
  expect(front.defaults.workdir).toBe('/a')
  const headers = { 'content-type': 'application/json; charset=utf-8' }
  expect(await init(front, { accessToken: 'other', defaultWorkdir: '/b' })).toMatchObject({
    status: 401,
    text: '{"code":401,"message":"access token validation failed"}\n',
    headers,
  })
  expect(await init(front, { defaultWorkdir: '/b' }, { 'x-access-token': 'secret' })).toMatchObject({
    status: 401,
    text: '{"code":401,"message":"access token reset not authorized"}\n',
    headers,
  })
  expect(front.defaults.workdir).toBe('/a')
  expect(front.token.matches('secret')).toBe(true)
  expect((await sendWhole(`${front.url}/envs`)).status).toBe(401)
})

test('F11 only what is as new as the newest, to the nanosecond, is applied; anything else is success all the same', async () => {
  await using front = await startFront()
  const time = now()
  const send = async (timestamp: bigint | undefined, value: string) => {
    const body = { envVars: { A: value }, ...(timestamp !== undefined && { timestamp: at(timestamp) }) }
    expect((await init(front, body)).status).toBe(204)
    return front.defaults.env.all().get('A')
  }
  expect(await send(time, 'first')).toBe('first')
  expect(await send(time - 1n, 'older')).toBe('first')
  expect(await send(time, 'equal')).toBe('equal')
  expect(await send(undefined, 'without')).toBe('without')
  expect(await send(time - 1n, 'older')).toBe('without')
  expect(await send(time + 1n, 'newer')).toBe('newer')
})

test('F12 a clock that is off is set to the timestamp, a good one is left alone, and a stale timestamp never sets it', async () => {
  await using front = await startFront()
  const good = now() - 1_000_000_000n
  await init(front, { timestamp: at(good) })
  expect(front.clockSettings).toEqual([])
  const later = now() + 3_600_000_000_123n
  await init(front, { timestamp: at(later) })
  const [setting = 0n] = front.clockSettings
  // Later by what the call took (contract N10).
  expect(setting).toBeGreaterThanOrEqual(later)
  expect(setting - later).toBeLessThan(1_000_000_000n)
  await init(front, { timestamp: at(now() - 60_000_000_000n) })
  expect(front.clockSettings).toEqual([setting])
})

test('F13 envVars replace all user variables, internal names stay, absent keeps', async () => {
  await using front = await startFront()
  await init(front, { envVars: { A: '1', B: '2', E2B_SANDBOX: 'forged' } })
  expect(envOf(front)).toEqual({ A: '1', B: '2', E2B_SANDBOX: 'false' })
  await init(front, { defaultUser: 'user' })
  await init(front, { envVars: null })
  expect(envOf(front)).toEqual({ A: '1', B: '2', E2B_SANDBOX: 'false' })
  await init(front, { envVars: { B: '3' } })
  expect(envOf(front)).toEqual({ B: '3', E2B_SANDBOX: 'false' })
  await init(front, { envVars: {} })
  expect(envOf(front)).toEqual({ E2B_SANDBOX: 'false' })
})

test('F15 defaultUser and defaultWorkdir are set when not empty, without being checked', async () => {
  await using front = await startFront()
  await init(front, { defaultUser: 'no-such-user', defaultWorkdir: '/no/such/dir' })
  expect(front.defaults).toMatchObject({ user: 'no-such-user', workdir: '/no/such/dir' })
  await init(front, { defaultUser: '', defaultWorkdir: '' })
  await init(front, { defaultUser: null })
  expect(front.defaults).toMatchObject({ user: 'no-such-user', workdir: '/no/such/dir' })
})

test('F22 a refused call initialises nothing, a stale one does', async () => {
  await using front = await startFront()
  front.token.set('secret')
  await init(front, { accessToken: 'wrong' })
  expect(front.initialization.initialized).toBe(false)
  await init(front, { accessToken: 'secret', timestamp: '1969-12-31T23:59:59Z' })
  expect(front.initialization.initialized).toBe(true)
})

test('F23 the token is judged before anything is applied', async () => {
  await using front = await startFront()
  front.token.set('secret')
  const body = { accessToken: 'wrong', envVars: { A: '1' }, timestamp: '2100-01-01T00:00:00Z', defaultUser: 'x' }
  expect((await init(front, body)).status).toBe(401)
  expect(envOf(front)).toEqual({ E2B_SANDBOX: 'false' })
  expect(front.clockSettings).toEqual([])
  expect(front.defaults.user).toBe('root')
  expect((await init(front, { accessToken: 'secret', envVars: { A: '2' }, timestamp: at(now()) })).status).toBe(204)
  expect(envOf(front)).toEqual({ A: '2', E2B_SANDBOX: 'false' })
})

test('F24 3 MB of variables are taken', async () => {
  await using front = await startFront()
  const envVars = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`V${i}`, 'x'.repeat(1000)]))
  expect((await init(front, { envVars })).status).toBe(204)
  expect(front.defaults.env.all().size).toBe(3001)
})

test('F24 a body beyond 4 MiB is refused without being kept', async () => {
  await using front = await startFront()
  const body = Buffer.alloc(64 * 1024 * 1024 + 1, ' ')
  const answer = await sendWhole(`${front.url}/init`, { method: 'POST', body })
  expect(answer).toMatchObject({ status: 413, text: expect.stringContaining('4194304') })
})

test('F6 1,000 calls whose clients leave early harm nothing', async () => {
  await using front = await startFront()
  const body = JSON.stringify({ envVars: { A: 'x'.repeat(1000) } })
  const request = `POST /init HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`
  const leave = async (i: number) => {
    const socket = connect(front.port, '127.0.0.1').on('error', () => {})
    await once(socket, 'connect')
    socket.end(i % 2 === 0 ? request + body : request + body.slice(0, 500))
    await once(socket.resume(), 'close')
  }
  for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 100 }, (_, i) => leave(i)))
  expect((await init(front, { envVars: { B: '1' } })).status).toBe(204)
  expect(envOf(front)).toEqual({ B: '1', E2B_SANDBOX: 'false' })
  expect(front.logged).toEqual([])
})

test('a token and variables never show in the log', async () => {
  await using front = await startFront()
  await init(front, { accessToken: 'canary', envVars: { SECRET: 'canary' }, timestamp: '2100-01-01T00:00:00Z' })
  await init(front, '{"accessToken":"canary')
  await init(front, { accessToken: 'canary2' })
  expect(JSON.stringify(front.logged)).not.toContain('canary')
})
