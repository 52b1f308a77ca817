import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { ListDirRequestSchema, ListDirResponseSchema } from '../../src/gen/filesystem/filesystem_pb.js'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

test.each([0, 1, 499, 500, 501, 2345])(
  'C22 a listing of %i entries is whole and in order, in JSON and binary',
  async (count) => {
    await using daemon = await startDaemon()
    await using dir = await makeTmpDir()
    const names = Array.from({ length: count }, (_, index) => `file${index}`)
    await Promise.all(names.map((name) => writeFile(join(dir.path, name), '')))
    const sorted = [...names].sort()

    const { body } = await call(daemon.url, 'filesystem.Filesystem/ListDir', { path: dir.path })
    expect(body).toMatchObject(
      count === 0 ? {} : { entries: sorted.map((name) => ({ name, path: join(dir.path, name) })) },
    )

    const answer = await sendWhole(`${daemon.url}/filesystem.Filesystem/ListDir`, {
      method: 'POST',
      headers: { 'content-type': 'application/proto' },
      body: toBinary(ListDirRequestSchema, create(ListDirRequestSchema, { path: dir.path })),
    })
    expect(fromBinary(ListDirResponseSchema, answer.body).entries.map(({ name }) => name)).toEqual(sorted)
  },
)

test('J2 a long listing is reduced throughout for the old Python client', async () => {
  await using daemon = await startDaemon()
  await using dir = await makeTmpDir()
  await Promise.all(Array.from({ length: 1200 }, (_, index) => mkdir(join(dir.path, `d${index}`))))
  const headers = { 'user-agent': 'connect-python' }
  const { body, headers: answered } = await call(
    daemon.url,
    'filesystem.Filesystem/ListDir',
    { path: dir.path },
    { headers },
  )
  expect(answered['x-e2b-legacy-sdk']).toBe('true')
  const { entries } = body as { entries: object[] }
  expect(entries).toHaveLength(1200)
  expect(new Set(entries.flatMap((entry) => Object.keys(entry)))).toEqual(new Set(['name', 'type', 'path']))
})
