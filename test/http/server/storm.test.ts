import { once } from 'node:events'
import { expect, test } from 'vitest'
import { startFront } from '../front.ts'
import { openSession, slowRoute, status } from './slow-route.ts'

/** For what takes a busy machine more than the second that a poll has otherwise. */
const SOON = { timeout: 15_000 }

test('500 calls at a time on one HTTP/2 connection', async () => {
  const slow = slowRoute()
  await using front = await startFront({ routes: [slow.route] })
  const session = await openSession(front.port)
  const answers = Array.from({ length: 500 }, () => status(session, '/slow'))
  await expect.poll(slow.begun).toBe(500)
  slow.finish()
  expect(new Set(await Promise.all(answers))).toEqual(new Set([200]))
  session.close()
})

test('a storm of aborted calls leaves an HTTP/2 connection usable that has shown the token', async () => {
  const slow = slowRoute()
  await using front = await startFront({ routes: [slow.route] })
  front.token.set('secret')
  const session = await openSession(front.port)
  const call = { ':path': '/slow', 'x-access-token': 'secret' }
  for (let i = 0; i < 30; i++) {
    const streams = Array.from({ length: 100 }, () => session.request(call))
    await Promise.all(streams.map((stream) => once(stream, 'response')))
    for (const stream of streams) stream.on('error', () => {}).close(8)
  }
  for (let i = 0; i < 10; i++) {
    const burst = Array.from({ length: 500 }, () => session.request(call).on('error', () => {}))
    const torn = Promise.all(burst.map((stream) => once(stream, 'close')))
    for (const stream of burst) stream.close(8)
    await torn
  }
  // A new call may be refused until the aborted ones are torn down; the connection lives on.
  await expect.poll(() => status(session, '/health').catch(() => 'refused'), SOON).toBe(204)
  session.close()
})
