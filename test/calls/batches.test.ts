import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { batches } from '../../src/calls/builders.ts'
import { DiskUsageRequestSchema, DiskUsageResponseSchema } from '../../src/gen/files/v1/files_pb.js'
import { NEVER } from '../../src/lib/never.ts'
import { collected } from '../_util/collected.ts'

test('of many items that come at once 50 are encoded at a time, all in their order', async () => {
  const numbers = Array.from({ length: 1020 }, (_, number) => number)
  const { open } = batches<typeof DiskUsageRequestSchema, typeof DiskUsageResponseSchema, number>(
    async function* () {
      yield numbers.slice(0, 1000)
      yield []
      yield numbers.slice(1000)
    },
    (number) => ({ event: { case: 'progress', value: { entries: BigInt(number) } } }),
  )
  const nobody = { user: undefined, userAgent: '', header: () => undefined, deadline: undefined }
  const caller = { ...nobody, signal: NEVER, keepalive: 1000 }
  const { messages } = await open(create(DiskUsageRequestSchema), caller)
  const pieces = await collected(messages())
  expect(pieces.map(({ length }) => length)).toEqual([...Array(20).fill(50), 20])
  const entries = pieces.flat().map((message) => create(DiskUsageResponseSchema, message).event.value)
  expect(entries).toMatchObject(numbers.map((number) => ({ entries: BigInt(number) })))
})
