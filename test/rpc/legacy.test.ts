import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { reduce } from '../../src/filesystem/legacy.ts'
import {
  EntryInfoSchema,
  EventType,
  FileType,
  GetWatcherEventsResponseSchema,
  RemoveWatcherResponseSchema,
  WatchDirResponseSchema,
} from '../../src/gen/filesystem/filesystem_pb.js'
import { commonDaemon } from '../_util/common-daemon.ts'
import { call, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const daemon = commonDaemon()

const HEADER = 'x-e2b-legacy-sdk'

function filesystem(method: string, message: unknown, agent = 'connect-python') {
  return call(daemon.url, `filesystem.Filesystem/${method}`, message, { headers: { 'user-agent': agent } })
}

test('J1 J2 J3 J6 entries of connect-python have name, type and path only', async () => {
  await using dir = await makeTmpDir()
  const at = (name: string) => `${dir.path}/${name}`
  await writeFile(at('file'), 'x')
  await symlink(at('file'), at('link'))
  const answers = {
    stat: await filesystem('Stat', { path: at('file') }),
    list: await filesystem('ListDir', { path: dir.path }),
    made: await filesystem('MakeDir', { path: at('made') }),
    moved: await filesystem('Move', { source: at('made'), destination: at('moved') }),
    removed: await filesystem('Remove', { path: at('moved') }),
  }
  for (const answer of Object.values(answers)) expect(answer.headers[HEADER]).toBe('true')
  const entry = (name: string, type: string) => ({ name, type, path: at(name) })
  const { stat, list, made, moved, removed } = answers
  expect(stat.body).toEqual({ entry: entry('file', 'FILE_TYPE_FILE') })
  expect(made.body).toEqual({ entry: entry('made', 'FILE_TYPE_DIRECTORY') })
  expect(moved.body).toEqual({ entry: entry('moved', 'FILE_TYPE_DIRECTORY') })
  expect(removed.body).toEqual({})
  // What ListDir answers.
  const { entries } = list.body as { entries: Record<string, string>[] }
  expect(entries.map((one) => Object.keys(one).sort())).toEqual(entries.map(() => ['name', 'path', 'type']))
  expect(entries.map((one) => one['name']).sort()).toEqual(['file', 'link'])
})

test.each(['connect-python/1.0', 'Connect-Python', 'e2b-python-sdk/2.0', 'connect-pythonista'])(
  'J1 the user agent %j gets everything',
  async (agent) => {
    await using dir = await makeTmpDir()
    await mkdir(`${dir.path}/one`)
    const answer = await filesystem('Stat', { path: `${dir.path}/one` }, agent)
    expect(answer.headers[HEADER]).toBeUndefined()
    expect(answer.body).toMatchObject({
      entry: { name: 'one', permissions: expect.any(String), owner: expect.any(String) },
    })
  },
)

test('J3 errors of connect-python are those of every client, without the header', async () => {
  const answer = await filesystem('Stat', { path: '/no/such/path' })
  expect({ status: answer.status, header: answer.headers[HEADER] }).toEqual({ status: 404, header: undefined })
  expect(answer.body).toEqual((await filesystem('Stat', { path: '/no/such/path' }, 'x')).body)
})

test('J5 the process service of connect-python is as for every client', async () => {
  const headers = { 'user-agent': 'connect-python' }
  const list = await call(daemon.url, 'process.Process/List', {}, { headers })
  expect({ status: list.status, header: list.headers[HEADER] }).toEqual({ status: 200, header: undefined })
  const run = await start(daemon.url, 'sh', { args: ['-c', 'exit 3'], headers })
  expect(run.headers[HEADER]).toBeUndefined()
  expect((await transcript(run)).end).toEqual({
    exitCode: 3,
    exited: true,
    status: 'exit status 3',
    error: 'exit status 3',
  })
})

test('J2 J4 watch events lose their entry, and an answer without entries is left alone', () => {
  const entry = create(EntryInfoSchema, { name: 'a', type: FileType.FILE, path: '/a', size: 5n })
  const event = { name: 'a', type: EventType.WRITE, entry }
  const streamed = create(WatchDirResponseSchema, { event: { case: 'filesystem', value: event } })
  reduce(streamed)
  expect(streamed).toEqual(
    create(WatchDirResponseSchema, { event: { case: 'filesystem', value: { name: 'a', type: EventType.WRITE } } }),
  )
  const started = create(WatchDirResponseSchema, { event: { case: 'start', value: {} } })
  reduce(started)
  expect(started.event.case).toBe('start')
  const polled = create(GetWatcherEventsResponseSchema, { events: [event, event] })
  reduce(polled)
  const bare = { name: 'a', type: EventType.WRITE }
  expect(polled).toEqual(create(GetWatcherEventsResponseSchema, { events: [bare, bare] }))
  const empty = create(RemoveWatcherResponseSchema)
  reduce(empty)
  expect(empty).toEqual(create(RemoveWatcherResponseSchema))
})
