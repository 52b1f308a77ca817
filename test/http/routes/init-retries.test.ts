import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { HostSetup } from '../../../src/init/application.ts'
import { createDefaults } from '../../../src/users/defaults.ts'
import { sendWhole } from '../../_util/http.ts'
import { OPTIONS } from '../../init/mmds/fake-mmds.ts'
import { makeMmdsRig } from '../../init/mmds/rig.ts'
import { type Front, startFront } from '../front.ts'
import { at, envOf, hashOf, init, now } from '../init-calls.ts'

/** A call that is under way; `leave` goes away without waiting for the answer. */
async function begin(front: Front, body: unknown): Promise<{ readonly leave: () => void; readonly socket: Socket }> {
  const socket = connect(front.port, '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  const text = JSON.stringify(body)
  socket.write(`POST /init HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
  return { socket, leave: () => void socket.destroy() }
}

/** A host whose volumes are ready when the test says so. */
function slowHost() {
  const begun: string[] = []
  const ready = Promise.withResolvers<void>()
  const host: HostSetup = {
    hyperloop: { set: async () => {} },
    caBundle: { check: async () => {}, install: async () => {} },
    volumes: {
      check: () => {},
      mount: async (_, lifecycleId) => {
        begun.push(lifecycleId)
        await ready.promise
      },
    },
  }
  return { host, begun, ready: ready.resolve }
}

const volumeMounts = [{ nfs_target: 'host:/v', path: '/v' }]

test('K5 F20 what is begun is finished although the client is gone, and the next call finds it done', async () => {
  const { host, begun, ready } = slowHost()
  await using front = await startFront({ host })
  const first = await begin(front, { volumeMounts, lifecycleID: 'a', envVars: { A: '1' }, timestamp: at(now()) })
  await expect.poll(() => begun).toEqual(['a'])
  first.leave()
  await expect.poll(() => front.listener.openConnections).toBe(0)
  let answered = false
  const second = init(front, { defaultUser: 'user', timestamp: at(now()) }).finally(() => {
    answered = true
  })
  // Calls that come later and do not wait for a turn are answered meanwhile.
  await expect.poll(() => front.listener.openConnections).toBe(1)
  for (let i = 0; i < 5; i++) await sendWhole(`${front.url}/envs`)
  expect(answered).toBe(false)
  ready()
  expect((await second).status).toBe(204)
  expect(envOf(front)).toEqual({ A: '1', E2B_SANDBOX: 'false' })
  expect(front.initialization.initialized).toBe(true)
})

test('F6 a call that waits for its turn is abandoned when its client leaves, and nothing of it is applied', async () => {
  const { host, begun, ready } = slowHost()
  await using front = await startFront({ host })
  const first = begin(front, { volumeMounts, lifecycleID: 'a' })
  await expect.poll(() => begun).toEqual(['a'])
  const waiting = await Promise.all(
    Array.from({ length: 200 }, (_, i) => begin(front, { envVars: { [`V${i}`]: '1' } })),
  )
  await expect.poll(() => front.listener.openConnections).toBe(201)
  for (const { leave } of waiting) leave()
  await expect.poll(() => front.listener.openConnections).toBe(1)
  ready()
  await once((await first).socket, 'data')
  expect((await init(front, { envVars: { B: '1' } })).status).toBe(204)
  expect(envOf(front)).toEqual({ B: '1', E2B_SANDBOX: 'false' })
  ;(await first).leave()
})

test('F6 a call over HTTP/2 that waits for its turn is abandoned when its client leaves', async () => {
  const { host, begun, ready } = slowHost()
  await using front = await startFront({ host })
  const first = await begin(front, { volumeMounts, lifecycleID: 'a' })
  await expect.poll(() => begun).toEqual(['a'])
  const leaving = new AbortController()
  const body = JSON.stringify({ envVars: { A: '1' } })
  void sendWhole(`${front.url}/init`, { method: 'POST', body, http2: true, signal: leaving.signal }).catch(() => {})
  await expect.poll(() => front.listener.openConnections).toBe(2)
  leaving.abort()
  await expect.poll(() => front.listener.openConnections).toBe(1)
  ready()
  await once(first.socket, 'data')
  expect(envOf(front)).toEqual({ E2B_SANDBOX: 'false' })
  first.leave()
})

test('K5 F9 attempts that give up while the host is silent succeed once it answers, however late', async () => {
  const defaults = createDefaults({ user: 'root', workdir: undefined, notFirecracker: false })
  await using rig = await makeMmdsRig({ env: defaults.env })
  rig.fake.options = { ...OPTIONS, accessTokenHash: hashOf('secret') }
  await using front = await startFront({ defaults, metadata: rig.mmds })
  // Twice, for the token and for the options: longer than a look-up waits before it repairs the way.
  rig.fake.before = () => delay(350)
  let attempts = 0
  for (let status = 0; status !== 204; attempts++) {
    const abandoned = new AbortController()
    const timer = setTimeout(() => abandoned.abort(), 50)
    const body = JSON.stringify({ accessToken: 'secret', timestamp: at(now()) })
    status = await sendWhole(`${front.url}/init`, { method: 'POST', body, signal: abandoned.signal }).then(
      (answer) => answer.status,
      () => 0,
    )
    clearTimeout(timer)
  }
  expect(attempts).toBeGreaterThan(1)
  expect(front.token.matches('secret')).toBe(true)
  expect(envOf(front)).toMatchObject({ E2B_SANDBOX_ID: 'i-sandbox' })
})

test('of calls in any order, repeated, at once, the newest stays', async () => {
  await using front = await startFront()
  const time = now()
  const calls = Array.from({ length: 60 }, (_, i) => i).sort(() => Math.random() - 0.5)
  const send = (i: number) =>
    init(front, { envVars: { A: String(i) }, defaultUser: `user${i}`, timestamp: at(time + BigInt(i)) })
  const answers = await Promise.all([...calls, ...calls].map(send))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204]))
  expect(envOf(front)).toEqual({ A: '59', E2B_SANDBOX: 'false' })
  expect(front.defaults.user).toBe('user59')
})

test('K7 each call may come over a connection of its own, which ends with the answer', async () => {
  await using front = await startFront()
  const { headers } = await init(front, {}, { connection: 'close' })
  expect(headers['connection']).toBe('close')
  await expect.poll(() => front.listener.openConnections).toBe(0)
})

test('K5 a thousand attempts whose clients have left do not keep the one that waits', async () => {
  const { host, begun, ready } = slowHost()
  await using front = await startFront({ host })
  const first = await begin(front, { volumeMounts, lifecycleID: 'a' })
  await expect.poll(() => begun).toEqual(['a'])
  for (let round = 0; round < 10; round++) {
    const gone = await Promise.all(Array.from({ length: 100 }, () => begin(front, { envVars: { A: 'x' } })))
    for (const { leave } of gone) leave()
  }
  const waiting = init(front, { envVars: { B: '1' } })
  ready()
  expect((await waiting).status).toBe(204)
  expect(envOf(front)).toMatchObject({ B: '1' })
  first.leave()
})
