import { globSync } from 'node:fs'
import { join } from 'node:path'
import { create, type DescMessage, toJson } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { messageJson } from '../../src/calls/message-json.ts'
import { ReadResponseSchema, WaitResponseSchema } from '../../src/gen/jobs/v1/jobs_pb.js'
import { StartRequestSchema, StartResponseSchema } from '../../src/gen/process/process_pb.js'
import { AttachResponseSchema } from '../../src/gen/terminals/v1/terminals_pb.js'
import { seeded } from '../hostile/random.ts'

const ROOT = join(import.meta.dirname, '../..')
const random = seeded(7)

test('messages declare their fields by number, in which order bytes are put into the text', async () => {
  const files = globSync('src/gen/**/*_pb.js', { cwd: ROOT })
  const modules: Record<string, unknown>[] = await Promise.all(files.map((file) => import(join(ROOT, file))))
  const schemas = modules.flatMap((module) => Object.values(module)).filter(isSchema)
  expect(schemas.length).toBeGreaterThan(200)
  for (const { typeName, fields } of schemas) {
    const numbers = fields.map(({ number }) => number)
    expect(numbers, typeName).toEqual(numbers.toSorted((a, b) => a - b))
  }
})

function isSchema(value: unknown): value is DescMessage {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'message'
}

test.each([0, 1, 47, 48, 49, 50, 51, 70_000])('%d bytes in a message are in JSON as the library has them', (length) => {
  // A view with an offset, as chunks of output are.
  const bytes = () => random.bytes(length + 5).subarray(5)
  const messages = [
    [WaitResponseSchema, create(WaitResponseSchema, { job: { pid: 1 }, stdout: bytes(), pty: bytes() })],
    [
      ReadResponseSchema,
      create(ReadResponseSchema, {
        event: { case: 'data', value: { output: { case: 'stderr', value: bytes() }, offset: 5n } },
      }),
    ],
    [
      StartResponseSchema,
      create(StartResponseSchema, {
        event: { event: { case: 'data', value: { output: { case: 'pty', value: bytes() } } } },
      }),
    ],
    [
      AttachResponseSchema,
      create(AttachResponseSchema, {
        event: { case: 'screen', value: { data: bytes(), more: true, size: { columns: 1, rows: 2 } } },
      }),
    ],
    [AttachResponseSchema, create(AttachResponseSchema, { event: { case: 'keepalive', value: {} } })],
    [StartRequestSchema, create(StartRequestSchema, { process: { cmd: 'a', envs: { A: 'b' } } })],
  ] as const
  for (const [schema, message] of messages) {
    const before = structuredClone(message)
    expect(JSON.parse(messageJson(schema, message).toString())).toEqual(toJson(schema, message))
    expect(structuredClone(message)).toEqual(before)
  }
})
