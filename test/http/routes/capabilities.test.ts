import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createFastify } from '../../../src/http/app/fastify.ts'
import { capabilitiesRoute } from '../../../src/http/routes/capabilities.ts'

test('an answer that many ask for in one turn of the event loop is made once', async () => {
  const app = createFastify({})
  let made = 0
  capabilitiesRoute(app, () => `{"made":${++made}}`)
  await app.ready()
  const answers = await Promise.all(Array.from({ length: 20 }, () => app.inject('/capabilities')))
  expect(new Set(answers.map(({ payload }) => payload))).toEqual(new Set(['{"made":1}\n']))
  await setImmediate()
  expect((await app.inject('/capabilities')).payload).toBe('{"made":2}\n')
  await app.close()
})
