import { setImmediate } from 'node:timers/promises'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { createMemory } from '../../src/budget/memory.ts'
import { list } from '../../src/calls/builders.ts'
import { ORDINARY_MESSAGE } from '../../src/calls/message-limit.ts'
import {
  EventType,
  Filesystem,
  GetWatcherEventsRequestSchema,
  GetWatcherEventsResponseSchema,
} from '../../src/gen/filesystem/filesystem_pb.js'
import { NEVER } from '../../src/lib/never.ts'
import { callUnary } from '../../src/rpc/unary-call.ts'
import { collected } from '../_util/collected.ts'

const COUNT = 60_000
const events = Array.from({ length: COUNT }, (_, i) => ({ name: `some/file/with/a/name/${i}`, type: EventType.CREATE }))
const budget = createByteBudget(1024 * 1024)
const implementation = list<typeof GetWatcherEventsRequestSchema, typeof GetWatcherEventsResponseSchema, 'events'>(
  'events',
  async function* () {
    for (let at = 0; at < COUNT; at += 256) yield events.slice(at, at + 256)
  },
)
const description = Filesystem.method.getWatcherEvents
const method = { name: 'GetWatcherEvents', description, implementation, limit: ORDINARY_MESSAGE, reduce: undefined }
const nobody = { user: undefined, userAgent: '', header: () => undefined }

function poll(signal = NEVER) {
  return callUnary(
    method,
    { bytes: request, how: { codec: 'proto', memory, signal } },
    { caller: { ...nobody, signal }, budget },
  )
}

const request = Buffer.from(
  toBinary(GetWatcherEventsRequestSchema, create(GetWatcherEventsRequestSchema, { watcherId: 'w' })),
)

const memory = createMemory(createByteBudget(1 << 20).hold('body', { connection: undefined, user: undefined }))

test('a poll of 60,000 events lets others have their turn while it is encoded', async () => {
  let over = false
  let turns = 0
  const others = (async () => {
    while (!over) {
      await setImmediate()
      turns++
    }
  })()
  const { body, rest } = await poll()
  expect(body.length).toBeLessThan(128 * 1024)
  expect(budget.usage().listing).toBeGreaterThan(0)
  const pieces = rest === undefined ? [] : await collected(rest)
  expect(budget.usage().listing).toBe(0)
  over = true
  await others
  // Some 50 ms of work in turns of 3 ms; in one go there would be one turn.
  expect(turns).toBeGreaterThanOrEqual(4)
  const reported = fromBinary(GetWatcherEventsResponseSchema, Buffer.concat([Buffer.from(body), ...pieces])).events
  expect(reported.length).toBe(COUNT)
  expect(reported.every(({ name }, i) => name === events[i]?.name)).toBe(true)
})

test('a call whose client has gone is not encoded to its end', async () => {
  const gone = new AbortController()
  gone.abort(new Error('gone'))
  await expect(poll(gone.signal)).rejects.toThrow('gone')
  expect(budget.usage().listing).toBe(0)
})

test('a rest that is not read releases what it held', async () => {
  const { rest } = await poll()
  await rest?.next()
  await rest?.return()
  expect(budget.usage().listing).toBe(0)
})
