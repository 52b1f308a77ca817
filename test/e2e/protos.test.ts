import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { DescMessage } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { file_filesystem_filesystem } from '../../src/gen/filesystem/filesystem_pb.js'
import { file_process_process } from '../../src/gen/process/process_pb.js'

const python = fileURLToPath(new URL('../../.cache/python/latest/bin/python', import.meta.url))
const script = fileURLToPath(new URL('./python/protos.py', import.meta.url))

test('N1 N27 every message, field and method of the newest SDK is here under its name and number', (context) => {
  if (!existsSync(python)) context.skip('no Python SDK: scripts/python-environments was not run')
  const theirs: object = JSON.parse(execFileSync(python, [script], { encoding: 'utf8' }))
  expect(theirs).toHaveProperty(['filesystem.EntryInfo', 'is_symlink'], 12)
  const ours: Record<string, unknown> = {}
  const add = (message: DescMessage) => {
    ours[message.typeName] = Object.fromEntries(message.fields.map(({ name, number }) => [name, number]))
    message.nestedMessages.forEach(add)
  }
  for (const { messages, services } of [file_filesystem_filesystem, file_process_process]) {
    messages.forEach(add)
    for (const { typeName, methods } of services) ours[typeName] = methods.map(({ name }) => name).sort()
  }
  // Methods of ours may be among theirs.
  const wanted = Object.entries(theirs).map(([name, known]) => [
    name,
    Array.isArray(known) ? expect.arrayContaining(known) : known,
  ])
  expect(ours).toMatchObject(Object.fromEntries(wanted))
})
