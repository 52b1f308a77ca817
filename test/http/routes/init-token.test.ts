import { describe, expect, test } from 'vitest'
import { createDefaults } from '../../../src/users/defaults.ts'
import { sendWhole } from '../../_util/http.ts'
import { OPTIONS } from '../../init/mmds/fake-mmds.ts'
import { makeMmdsRig } from '../../init/mmds/rig.ts'
import { startFront } from '../front.ts'
import { at, envOf, hashOf, init, now } from '../init-calls.ts'

/** A front in a microVM whose host reports this hash. */
async function startInMicroVm(accessTokenHash: string) {
  const defaults = createDefaults({ user: 'root', workdir: undefined, notFirecracker: false })
  const rig = await makeMmdsRig({ env: defaults.env })
  const front = await startFront({ defaults, metadata: rig.mmds })
  rig.fake.options = { ...OPTIONS, accessTokenHash }
  return {
    ...front,
    fake: rig.fake,
    file: rig.file,
    tell: (token: string) => {
      rig.fake.options = { ...OPTIONS, accessTokenHash: hashOf(token) }
    },
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]()
      await rig[Symbol.asyncDispose]()
    },
  }
}

const REFUSED = { status: 401, text: '{"code":401,"message":"access token validation failed"}\n' }
const NO_RESET = { status: 401, text: '{"code":401,"message":"access token reset not authorized"}\n' }

test('F7 a: the token that is set is accepted whatever the host says', async () => {
  await using front = await startInMicroVm(hashOf('other'))
  front.token.set('secret')
  front.fake.conduct = 'cut'
  expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
  front.fake.conduct = 'answer'
  expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
  expect(front.token.matches('secret')).toBe(true)
})

test('F7 b: a token with the hash that the host reports takes the place of another, and is the first one too', async () => {
  await using front = await startInMicroVm(hashOf('first'))
  expect((await init(front, { accessToken: 'first' })).status).toBe(204)
  front.tell('second')
  expect((await init(front, { accessToken: 'second' })).status).toBe(204)
  expect([front.token.matches('first'), front.token.matches('second')]).toEqual([false, true])
})

test('F7 c F14 no token is accepted where the host reports the hash of the empty text, and opens everything', async () => {
  await using front = await startInMicroVm(hashOf('secret'))
  expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
  expect((await sendWhole(`${front.url}/envs`)).status).toBe(401)
  front.tell('')
  expect((await init(front, {})).status).toBe(204)
  expect(front.token.isSet).toBe(false)
  expect((await sendWhole(`${front.url}/envs`)).status).toBe(200)
})

describe('F7 d: the first token needs no approval where the host', () => {
  test('reports no hash', async () => {
    await using front = await startInMicroVm('')
    expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
    expect(front.token.matches('secret')).toBe(true)
  })

  test('F9 cannot be reached, also not at the second try', async () => {
    await using front = await startInMicroVm(hashOf('other'))
    front.fake.conduct = 'cut'
    expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
    expect(front.token.matches('secret')).toBe(true)
    expect(front.fake.requests.length).toBeGreaterThanOrEqual(2)
  })
})

test('F9 a host that is reached at the second try has its say', async () => {
  await using front = await startInMicroVm(hashOf('other'))
  front.fake.conduct = 'cut'
  front.fake.before = () => {
    if (front.fake.requests.length === 2) front.fake.conduct = 'answer'
  }
  expect(await init(front, { accessToken: 'secret' })).toMatchObject(REFUSED)
})

test.each([
  ['another hash, no token set', false, hashOf('other'), [{ accessToken: 'wrong' }, REFUSED]],
  ['another hash, a token set', true, hashOf('other'), [{ accessToken: 'wrong' }, REFUSED]],
  ['the hash in capitals', false, hashOf('secret').toUpperCase(), [{ accessToken: 'secret' }, REFUSED]],
  ['nonsense instead of a hash', false, 'nonsense', [{ accessToken: 'secret' }, REFUSED]],
  ['no hash, another token set', true, '', [{ accessToken: 'wrong' }, REFUSED]],
  ['the hash of the empty text, a token given', false, hashOf(''), [{ accessToken: 'wrong' }, REFUSED]],
  ['a hash, no token given', false, hashOf('other'), [{}, NO_RESET]],
  ['a hash, no token given, one set', true, hashOf('secret'), [{}, NO_RESET]],
  ['no hash, no token given, one set', true, '', [{ accessToken: null }, NO_RESET]],
] as const)('F7 %s: refused, and nothing is applied', async (_, isSet, hash, [body, expected]) => {
  await using front = await startInMicroVm(hash)
  if (isSet) front.token.set('secret')
  const answer = await init(front, { ...body, envVars: { CANARY: '1' }, timestamp: at(now() + 3_600_000_000_000n) })
  expect(answer).toMatchObject({ ...expected, headers: { 'content-type': 'application/json; charset=utf-8' } })
  expect(front.token.isSet).toBe(isSet)
  expect(envOf(front)).toEqual({ E2B_SANDBOX: 'true' })
  expect(front.clockSettings).toEqual([])
  expect(front.initialization.initialized).toBe(false)
  expect(await front.file('.E2B_SANDBOX_ID')).toBeUndefined()
})

test('F8 the old token stays good for /init after the host has moved on, until the new one comes', async () => {
  await using front = await startInMicroVm(hashOf('old'))
  expect((await init(front, { accessToken: 'old' })).status).toBe(204)
  front.tell('new')
  expect((await init(front, { accessToken: 'old' })).status).toBe(204)
  expect((await init(front, { accessToken: 'new' })).status).toBe(204)
  expect(await init(front, { accessToken: 'old' })).toMatchObject(REFUSED)
})

test('F7 K9 K10 A37 a sandbox that is resumed elsewhere, or boots anew, has the token that the platform sends again', async () => {
  const [token, other] = ['a'.repeat(64), 'b'.repeat(64)]
  for (const known of [undefined, 'template-token']) {
    await using front = await startInMicroVm(hashOf(token))
    if (known !== undefined) front.token.set(known)
    expect(await init(front, { accessToken: other, timestamp: at(now()) })).toMatchObject(REFUSED)
    const body = { accessToken: token, timestamp: at(now()), defaultUser: 'user', defaultWorkdir: '/home/user' }
    expect((await init(front, body, { 'x-access-token': token })).status).toBe(204)
    expect(front.token.matches(token)).toBe(true)
    expect(front.defaults).toMatchObject({ user: 'user', workdir: '/home/user' })
    expect((await sendWhole(`${front.url}/envs`, { headers: { 'x-access-token': token } })).status).toBe(200)
  }
})

describe('F21 A14 the answer to /init comes with the ids of now', () => {
  test('for a token that is set, which needs no look at the host', async () => {
    await using front = await startInMicroVm('')
    front.token.set('secret')
    for (const instanceID of ['i-1', 'i-2', 'i-3']) {
      front.fake.options = { ...OPTIONS, instanceID }
      expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
      // Within the budget as a rule; on a busy machine a moment later.
      await expect.poll(() => envOf(front)['E2B_SANDBOX_ID']).toBe(instanceID)
      await expect.poll(() => front.file('.E2B_SANDBOX_ID')).toBe(instanceID)
    }
  })

  test('for a token that the host has judged, with the same look', async () => {
    await using front = await startInMicroVm(hashOf('secret'))
    expect((await init(front, { accessToken: 'secret' })).status).toBe(204)
    expect(envOf(front)).toEqual({ E2B_SANDBOX: 'true', E2B_SANDBOX_ID: 'i-sandbox', E2B_TEMPLATE_ID: 'template' })
    expect(front.fake.requests).toHaveLength(2)
  })

  test('for a stale timestamp too', async () => {
    await using front = await startInMicroVm(hashOf('secret'))
    const time = now()
    await init(front, { accessToken: 'secret', timestamp: at(time) })
    front.fake.options = { ...OPTIONS, instanceID: 'i-later' }
    const stale = { accessToken: 'secret', timestamp: at(time - 1n), envVars: { A: '1' } }
    expect((await init(front, stale)).status).toBe(204)
    await expect.poll(() => envOf(front)['E2B_SANDBOX_ID']).toBe('i-later')
    expect(envOf(front)['A']).toBeUndefined()
  })

  test('A15 and variables of these names do not replace them', async () => {
    await using front = await startInMicroVm(hashOf(''))
    const envVars = { E2B_SANDBOX_ID: 'forged', E2B_TEMPLATE_ID: 'forged', A: '1' }
    for (let i = 0; i < 2; i++) {
      expect((await init(front, { envVars })).status).toBe(204)
      expect(envOf(front)).toMatchObject({ A: '1', E2B_SANDBOX_ID: 'i-sandbox', E2B_TEMPLATE_ID: 'template' })
    }
  })
})

test('neither tokens nor hashes show in the log', async () => {
  await using front = await startInMicroVm(hashOf('canary-token'))
  await init(front, { accessToken: 'canary-wrong' })
  await init(front, { accessToken: 'canary-token' })
  front.fake.conduct = 'cut'
  await init(front, { accessToken: 'canary-wrong' })
  const log = JSON.stringify(front.logged)
  expect(log).not.toContain('canary')
  expect(log).not.toContain(hashOf('canary-token'))
})
