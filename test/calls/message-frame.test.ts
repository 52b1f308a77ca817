import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { encodeMessage } from '../../src/calls/message-frame.ts'
import { SendInputRequestSchema } from '../../src/gen/process/process_pb.js'

test('A22 bytes that are a view of larger memory are sent as they are in JSON', () => {
  // With the flags of the daemon, some of which bring another base64 into the engine.
  const memory = new Uint8Array(256).map((_, index) => index)
  for (const [from, to] of [
    [0, 10],
    [5, 15],
    [64, 256],
  ] as const) {
    const value = memory.subarray(from, to)
    const message = create(SendInputRequestSchema, { input: { input: { case: 'stdin', value } } })
    const json = JSON.parse(encodeMessage(SendInputRequestSchema, message, 'json').toString())
    expect(json.input.stdin).toBe(Buffer.from(value).toString('base64'))
  }
})
