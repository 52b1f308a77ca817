import { expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { orchestratorRoutes } from '../../../src/http/routes/orchestrator-routes.ts'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { needsNamespace } from '../../_util/namespace.ts'
import { startFront } from '../front.ts'

const PATHS = ['/fsfreeze', '/fsthaw', '/collapse', '/upgrade']

const rootFreeze = { freeze: () => Promise.resolve(), thaw: () => Promise.resolve() }
const routes = [orchestratorRoutes({ rootFreeze, initialization: { initialized: true }, upgrade: undefined })]

test('B62 A18 A21 the calls of an orchestrator are POST alone: others are 405 with Allow', async () => {
  await using front = await startFront({ routes })
  for (const path of PATHS) {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await sendWhole(front.url + path, { method })
      expect(answer).toMatchObject({ status: 405, text: '', headers: { allow: 'POST' } })
    }
    expect((await sendWhole(`${front.url}${path}/`, { method: 'POST' })).status).toBe(404)
  }
})

test('B62 A34 the calls of an orchestrator take the token', async () => {
  await using front = await startFront({ routes })
  front.token.set('secret')
  for (const path of PATHS) {
    const post = (headers: Record<string, string>) => sendWhole(front.url + path, { method: 'POST', headers })
    expect((await post({})).status).toBe(401)
    expect((await post({ 'x-access-token': 'wrong' })).status).toBe(401)
    expect((await post({ 'x-access-token': 'secret' })).status).not.toBe(401)
  }
})

test('B60 a root that cannot be frozen is 500 with the reason', async (context) => {
  // Elsewhere this would freeze the machine.
  needsNamespace(context)
  await using daemon = await startDaemon()
  await using other = await startDaemon({ uid: 1000 })
  const post = (url: string) => sendWhole(url, { method: 'POST' })
  const failed = (reason: string) => ({ status: 500, text: `${JSON.stringify({ code: 500, message: reason })}\n` })
  expect(await post(`${daemon.url}/fsfreeze`)).toMatchObject(failed('FIFREEZE /: operation not supported'))
  expect(await post(`${daemon.url}/fsthaw`)).toMatchObject({ status: 204 })
  expect(await post(`${other.url}/fsfreeze`)).toMatchObject(failed('FIFREEZE /: operation not permitted'))
  expect(await post(`${other.url}/fsthaw`)).toMatchObject(failed('FITHAW /: operation not permitted'))
})

test('B60 a client that leaves while a freeze waits aborts it, and never a thaw', async () => {
  const freezing = Promise.withResolvers<AbortSignal>()
  const thawing = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  let thawed = false
  const slow = {
    freeze: (signal: AbortSignal) => {
      freezing.resolve(signal)
      return new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
    thaw: async () => {
      thawing.resolve()
      await held.promise
      thawed = true
    },
  }
  await using front = await startFront({
    routes: [orchestratorRoutes({ rootFreeze: slow, initialization: { initialized: true }, upgrade: undefined })],
  })
  const impatient = new AbortController()
  const { signal } = impatient
  const calls = ['/fsfreeze', '/fsthaw'].map((path) => sendWhole(front.url + path, { method: 'POST', signal }))
  const waiting = await freezing.promise
  await thawing.promise
  impatient.abort()
  for (const call of calls) await expect(call).rejects.toThrow()
  await expect.poll(() => waiting.aborted).toBe(true)
  expect(waiting.reason).toEqual(new AppError('unavailable', 'the client is gone'))
  held.resolve()
  await expect.poll(() => thawed).toBe(true)
  expect(front.logged.filter(({ level }) => level !== 'debug')).toEqual([])
})
