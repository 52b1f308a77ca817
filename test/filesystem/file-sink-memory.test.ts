import { open, readFile } from 'node:fs/promises'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { createFileSink } from '../../src/filesystem/file-sink.ts'
import { receiveMultipart } from '../../src/filesystem/multipart.ts'
import { NEVER } from '../../src/lib/never.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

test('chunks that wait for the disk are counted, and without room the source waits instead of failing', async () => {
  await using directory = await makeTmpDir()
  await using file = await open(`${directory.path}/out`, 'w')
  const budget = createByteBudget(8192)
  const hold = budget.hold('upload', { connection: {}, user: 'a' })
  const sink = createFileSink(file.fd, hold)
  expect(sink.write(Buffer.alloc(3000, 'a'))).toBeUndefined()
  expect(budget.usage().upload).toBe(3000)
  const room = sink.write(Buffer.alloc(3000, 'b'))
  expect(room).toBeInstanceOf(Promise)
  await room
  await sink.write(Buffer.alloc(3000, 'c'))
  await sink.end()
  expect(budget.usage().upload).toBe(0)
  expect((await readFile(`${directory.path}/out`)).length).toBe(9000)
})

test('what a form has read ahead is counted, and without room nothing more is read ahead', async () => {
  const budget = createByteBudget(1024 * 1024)
  const hold = budget.hold('upload', { connection: {}, user: 'a' })
  const source = new PassThrough({ highWaterMark: 64 * 1024 })
  const read = Promise.withResolvers<void>()
  let length = 0
  const form = receiveMultipart(source, {
    boundary: 'b',
    onPart: async ({ body }) => {
      await read.promise
      for await (const chunk of body) length += chunk.length
    },
    signal: NEVER,
    idleMs: 60_000,
    hold,
  })
  source.write('--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n')
  source.write(Buffer.alloc(100_000))
  await expect.poll(() => budget.usage().upload).toBeGreaterThan(99_000)
  const other = budget.hold('body', { connection: undefined, user: undefined })
  other.grow(900_000)
  source.write(Buffer.alloc(100_000))
  source.end('\r\n--b--\r\n')
  read.resolve()
  await form
  expect(length).toBe(200_000)
  expect(budget.usage().upload).toBe(0)
})
