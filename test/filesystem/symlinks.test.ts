import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { createClient, type Transport } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node'
import { describe, expect, test } from 'vitest'
import { type EntryInfo, Filesystem, FileType } from '../../src/gen/filesystem/filesystem_pb.js'
import { commonDaemon } from '../_util/common-daemon.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const daemon = commonDaemon()

const TRANSPORTS: Readonly<Record<string, () => Transport>> = {
  'Connect JSON': () => createConnectTransport({ baseUrl: daemon.url, httpVersion: '1.1' }),
  'Connect binary': () => createConnectTransport({ baseUrl: daemon.url, httpVersion: '1.1', useBinaryFormat: true }),
  gRPC: () => createGrpcTransport({ baseUrl: daemon.url }),
  'gRPC in JSON': () => createGrpcTransport({ baseUrl: daemon.url, useBinaryFormat: false }),
}

const { DIRECTORY, FILE, UNSPECIFIED } = FileType

/** Every kind of link, with what the entry is to say; in the order of their names. */
async function makeLinks(root: string) {
  await mkdir(`${root}/d`)
  await writeFile(`${root}/f`, 'text')
  const targets = { broken: 'nowhere', chain: 'to-f', loop: 'loop', 'to-d': 'd', 'to-f': 'f' }
  for (const [name, target] of Object.entries(targets)) await symlink(target, `${root}/${name}`)
  return [
    ['broken', UNSPECIFIED, true],
    ['chain', FILE, true],
    ['d', DIRECTORY, false],
    ['f', FILE, false],
    ['loop', UNSPECIFIED, true],
    ['to-d', DIRECTORY, true],
    ['to-f', FILE, true],
  ] as const
}

function facts({ name, type, isSymlink, symlinkTarget }: EntryInfo) {
  expect(isSymlink).toBe(symlinkTarget !== undefined)
  return [name, type, isSymlink]
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it is missing')
  return value
}

describe.each(Object.entries(TRANSPORTS))('%s', (_, transport) => {
  const client = () => createClient(Filesystem, transport())

  test('N1 Stat, ListDir, Move and MakeDir distinguish links from what they lead to', async () => {
    await using tmp = await makeTmpDir()
    await mkdir(`${tmp.path}/in`)
    const links = await makeLinks(`${tmp.path}/in`)
    const { entries } = await client().listDir({ path: tmp.path, depth: 2 })
    expect(entries.slice(1).map(facts)).toEqual(links)
    for (const [name, type, isLink] of links) {
      const { entry } = await client().stat({ path: `${tmp.path}/in/${name}` })
      expect(facts(present(entry))).toEqual([name, type, isLink])
    }
    const moved = await client().move({ source: `${tmp.path}/in/broken`, destination: `${tmp.path}/moved` })
    expect(facts(present(moved.entry))).toEqual(['moved', UNSPECIFIED, true])
    const made = await client().makeDir({ path: `${tmp.path}/made` })
    expect(facts(present(made.entry))).toEqual(['made', DIRECTORY, false])
  })

  test('N1 events with entries distinguish links from what they lead to, in a stream and in polls', async () => {
    await using tmp = await makeTmpDir()
    const request = { path: tmp.path, includeEntry: true }
    const stream = client().watchDir(request)[Symbol.asyncIterator]()
    expect((await stream.next()).value?.event.case).toBe('start')
    const { watcherId } = await client().createWatcher(request)
    await symlink('nowhere', `${tmp.path}/broken`)
    const { value } = await stream.next()
    if (value?.event.case !== 'filesystem') throw new Error('no event')
    expect(facts(present(value.event.value.entry))).toEqual(['broken', UNSPECIFIED, true])
    await stream.return?.()
    const { events } = await client().getWatcherEvents({ watcherId })
    expect(events.map(({ entry }) => facts(present(entry)))).toContainEqual(['broken', UNSPECIFIED, true])
    await client().removeWatcher({ watcherId })
  })
})

test('N1 the member is there for links only, and keeps its number', async () => {
  await using tmp = await makeTmpDir()
  await symlink('.', `${tmp.path}/link`)
  const entryOf = async (path: string) =>
    // What Stat answers.
    ((await call(daemon.url, 'filesystem.Filesystem/Stat', { path })).body as { entry: object }).entry
  expect(await entryOf(`${tmp.path}/link`)).toMatchObject({ isSymlink: true, symlinkTarget: tmp.path })
  expect(await entryOf(tmp.path)).not.toHaveProperty('isSymlink')
  expect(Filesystem.method.stat.output.field['entry']?.message?.field['isSymlink']?.number).toBe(12)
})
