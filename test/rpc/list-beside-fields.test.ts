import { setImmediate } from 'node:timers/promises'
import { create, fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { createMemory } from '../../src/budget/memory.ts'
import { withList } from '../../src/calls/builders.ts'
import type { Codec } from '../../src/calls/message-frame.ts'
import { ORDINARY_MESSAGE } from '../../src/calls/message-limit.ts'
import { Files, ReadLinesRequestSchema, ReadLinesResponseSchema } from '../../src/gen/files/v1/files_pb.js'
import { NEVER } from '../../src/lib/never.ts'
import { callUnary } from '../../src/rpc/unary-call.ts'
import { collected } from '../_util/collected.ts'

const budget = createByteBudget(4 * 1024 * 1024)
const memory = createMemory(budget.hold('body', { connection: undefined, user: undefined }))
const description = Files.method.readLines
const caller = { user: undefined, userAgent: '', header: () => undefined, signal: NEVER }

const answerOf = (count: number) => ({
  lines: Array.from({ length: count }, (_, i) => ({ number: BigInt(i + 1), text: `line ${i}` })),
  total: 12n,
  more: true,
  etag: '"x"',
})

async function answer(count: number, codec: Codec): Promise<Buffer> {
  const run = async () => answerOf(count)
  const implementation = withList<typeof ReadLinesRequestSchema, typeof ReadLinesResponseSchema, 'lines'>('lines', run)
  const method = { name: 'ReadLines', description, implementation, limit: ORDINARY_MESSAGE, reduce: undefined }
  const request = create(ReadLinesRequestSchema)
  const bytes = Buffer.from(codec === 'json' ? '{}' : toBinary(ReadLinesRequestSchema, request))
  const { body, rest } = await callUnary(
    method,
    { bytes, how: { codec, memory, signal: caller.signal } },
    { caller, budget },
  )
  return Buffer.concat([Buffer.from(body), ...(rest === undefined ? [] : await collected(rest))])
}

for (const count of [0, 1, 50, 51, 10_000])
  test(`an answer with a list of ${count} and other fields is whole in both encodings`, async () => {
    const wanted = toJsonString(ReadLinesResponseSchema, create(ReadLinesResponseSchema, answerOf(count)))
    const inJson = fromJsonString(ReadLinesResponseSchema, String(await answer(count, 'json')))
    expect(toJsonString(ReadLinesResponseSchema, inJson)).toBe(wanted)
    const inBinary = fromBinary(ReadLinesResponseSchema, await answer(count, 'proto'))
    expect(toJsonString(ReadLinesResponseSchema, inBinary)).toBe(wanted)
  })

test('a long list beside other fields lets others have their turn while it is encoded', async () => {
  let over = false
  let turns = 0
  const others = (async () => {
    while (!over) {
      await setImmediate()
      turns++
    }
  })()
  await answer(40_000, 'json')
  over = true
  await others
  expect(turns).toBeGreaterThanOrEqual(4)
})
