import { create, toBinary, toJsonString } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { createMemory } from '../../src/budget/memory.ts'
import { ListRequestSchema, SendInputRequestSchema, StartRequestSchema } from '../../src/gen/process/process_pb.js'
import { NEVER } from '../../src/lib/never.ts'
import { decodeMessage } from '../../src/rpc/decode-message.ts'

const budget = createByteBudget(1 << 30)
const how = (codec: 'json' | 'proto') => ({
  codec,
  memory: createMemory(budget.hold('body', { connection: undefined, user: undefined })),
  signal: NEVER,
})

const start = create(StartRequestSchema, {
  process: {
    cmd: 'sh',
    args: Array.from({ length: 5000 }, (_, i) => `argument ${i} é😀`),
    envs: Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`K${i}`, `${i}`])),
    cwd: '/',
  },
  pty: { size: { cols: 80, rows: 24 } },
  tag: 'long'.repeat(20_000),
  stdin: false,
})
const input = create(SendInputRequestSchema, {
  process: { selector: { case: 'pid', value: 7 } },
  input: { input: { case: 'stdin', value: new Uint8Array(3_000_000).map((_, i) => i * 31) } },
})

const bytesOf = (message: typeof input) => Buffer.from(message.input?.input.value ?? [])

test('A23 large messages are the same in both encodings', async () => {
  const json = (
    schema: typeof StartRequestSchema | typeof SendInputRequestSchema,
    message: typeof start | typeof input,
  ) => Buffer.from(toJsonString(schema, message as never))
  expect(await decodeMessage(StartRequestSchema, json(StartRequestSchema, start), how('json'))).toEqual(start)
  const fromJson = await decodeMessage(SendInputRequestSchema, json(SendInputRequestSchema, input), how('json'))
  expect(bytesOf(fromJson).equals(bytesOf(input))).toBe(true)
  const binary = Buffer.from(toBinary(StartRequestSchema, start))
  expect(await decodeMessage(StartRequestSchema, binary, how('proto'))).toEqual(start)
  const binaryInput = Buffer.from(toBinary(SendInputRequestSchema, input))
  const decoded = await decodeMessage(SendInputRequestSchema, binaryInput, how('proto'))
  expect(bytesOf(decoded).equals(bytesOf(input))).toBe(true)
})

const times = (count: number, ...bytes: number[]) =>
  Buffer.concat(Array.from({ length: count }, () => Buffer.from(bytes)))

test.each([
  ['unknown numbers', times(40_000, 0x28, 1), 'too_large'],
  ['unknown texts', times(40_000, 0x2a, 0), 'too_large'],
  ['groups within each other', times(1000, 0x2b), 'too_large'],
  ['groups one after the other', times(40_000, 0x2b, 0x2c), 'too_large'],
  ['a group that never ends', Buffer.from([0x2b]), 'invalid_argument'],
  ['a text that is cut short', Buffer.from([0x2a, 0xff, 0xff, 0xff, 0x7f]), 'invalid_argument'],
  ['a number that never ends', times(20, 0xff), 'invalid_argument'],
])('in binary, %s are refused before anything is built', async (_, bytes, kind) => {
  await expect(decodeMessage(ListRequestSchema, bytes, how('proto'))).rejects.toMatchObject({ kind })
})

test('in binary, a field of the wrong type is refused, which the library would take for something else', async () => {
  // Field 4, stdin, is a number; as a text it would hide what is in it from the check.
  const hidden = Buffer.concat([Buffer.from([0x22, 0xc0, 0x84, 0x3d]), times(500_000, 0x38, 1)])
  await expect(decodeMessage(StartRequestSchema, hidden, how('proto'))).rejects.toMatchObject({
    kind: 'invalid_argument',
  })
})

test.each([
  ['arguments', { args: Array.from({ length: 70_000 }, () => 'a') }],
  ['variables', { envs: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, 'v'])) }],
])('too many %s are refused in both encodings', async (_, part) => {
  const message = create(StartRequestSchema, { process: { cmd: 'true', ...part } })
  const json = Buffer.from(toJsonString(StartRequestSchema, message))
  await expect(decodeMessage(StartRequestSchema, json, how('json'))).rejects.toMatchObject({ kind: 'too_large' })
  const binary = Buffer.from(toBinary(StartRequestSchema, message))
  await expect(decodeMessage(StartRequestSchema, binary, how('proto'))).rejects.toMatchObject({ kind: 'too_large' })
})
