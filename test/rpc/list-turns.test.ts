import { setImmediate } from 'node:timers/promises'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { createMemory } from '../../src/budget/memory.ts'
import {
  EventType,
  Filesystem,
  GetWatcherEventsRequestSchema,
  GetWatcherEventsResponseSchema,
} from '../../src/gen/filesystem/filesystem_pb.js'
import { listMethod } from '../../src/rpc/list-method.ts'
import type { FilesystemEvent } from '../../src/watch/service.ts'

const COUNT = 60_000
const events = Array.from({ length: COUNT }, (_, i) => ({ name: `some/file/with/a/name/${i}`, type: EventType.CREATE }))
const method = listMethod(
  Filesystem.method.getWatcherEvents,
  { name: 'events', wrap: (some: readonly FilesystemEvent[]) => ({ events: [...some] }) },
  async function* () {
    for (let at = 0; at < COUNT; at += 256) yield events.slice(at, at + 256)
  },
)
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
  const caller = { user: undefined, userAgent: '', signal: new AbortController().signal }
  const { body } = await method.call({ bytes: request, codec: 'proto', memory }, caller)
  over = true
  await others
  // Some 50 ms of work in turns of 3 ms; in one go there would be one turn.
  expect(turns).toBeGreaterThanOrEqual(4)
  const told = fromBinary(GetWatcherEventsResponseSchema, body).events
  expect(told.length).toBe(COUNT)
  expect(told.every(({ name }, i) => name === events[i]?.name)).toBe(true)
})

test('a call whose client has gone is not encoded to its end', async () => {
  const gone = new AbortController()
  gone.abort(new Error('gone'))
  const caller = { user: undefined, userAgent: '', signal: gone.signal }
  await expect(method.call({ bytes: request, codec: 'proto', memory }, caller)).rejects.toThrow('gone')
})
