import { mkdir, rm, writeFile } from 'node:fs/promises'
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { createGrpcWebTransport as createBrowserTransport } from '@connectrpc/connect-web'
import { describe, expect, test } from 'vitest'
import { EventType, Filesystem, type WatchDirResponse } from '../../src/gen/filesystem/filesystem_pb.js'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { text } from './watching.ts'

const daemon = sharedDaemon()

const PROTOCOLS: Readonly<Record<string, () => Transport>> = {
  'Connect JSON over HTTP/1.1': () => createConnectTransport({ baseUrl: daemon.url, httpVersion: '1.1' }),
  'Connect binary over HTTP/1.1': () => connectBinary('1.1'),
  'Connect binary over HTTP/2': () => connectBinary('2'),
  gRPC: () => createGrpcTransport({ baseUrl: daemon.url }),
  'gRPC in JSON': () => createGrpcTransport({ baseUrl: daemon.url, useBinaryFormat: false }),
  'gRPC-Web over HTTP/1.1': () => createGrpcWebTransport({ baseUrl: daemon.url, httpVersion: '1.1' }),
  'gRPC-Web over HTTP/2': () => createGrpcWebTransport({ baseUrl: daemon.url, httpVersion: '2' }),
  'gRPC-Web of a browser': () => createBrowserTransport({ baseUrl: daemon.url }),
}

function connectBinary(httpVersion: '1.1' | '2'): Transport {
  return createConnectTransport({ baseUrl: daemon.url, httpVersion, useBinaryFormat: true })
}

describe.each(Object.entries(PROTOCOLS))('%s', (_, transport) => {
  const client = () => createClient(Filesystem, transport())

  test('C27 C31 C33 a stream says start, reports everything in order and ends with the error', async () => {
    await using tmp = await makeTmpDir()
    const root = `${tmp.path}/root`
    await mkdir(root)
    const stream = client().watchDir({ path: root, recursive: true, includeEntry: true })[Symbol.asyncIterator]()
    expect((await stream.next()).value?.event.case).toBe('start')
    await mkdir(`${root}/a/b`, { recursive: true })
    await writeFile(`${root}/a/b/f`, 'x')
    const reported = [await nextOf(stream), await nextOf(stream), await nextOf(stream)]
    expect(reported.map(text)).toEqual(['CREATE a', 'CREATE a/b', 'CREATE a/b/f'])
    expect(reported[2]?.entry).toMatchObject({ name: 'f', path: `${root}/a/b/f` })
    await rm(root, { recursive: true })
    const lines: string[] = []
    const ended = await (async () => {
      for (;;) lines.push(text(await nextOf(stream)))
    })().catch(ConnectError.from)
    expect(lines.at(-1)).toBe('REMOVE .')
    expect(ended).toMatchObject({ code: Code.NotFound, rawMessage: `the watched directory ${root} was removed` })
  })

  test('what the header Watch-Exclude names is not reported, by a stream and by polls', async () => {
    await using tmp = await makeTmpDir()
    await mkdir(`${tmp.path}/a,b/c`, { recursive: true })
    const options = { headers: { 'watch-exclude': 'a%2Cb/, *.log' } }
    const request = { path: tmp.path, recursive: true }
    const stream = client().watchDir(request, options)[Symbol.asyncIterator]()
    expect((await stream.next()).value?.event.case).toBe('start')
    const { watcherId } = await client().createWatcher(request, options)
    for (const name of ['a,b/c/f', 'x.log', 'y']) await writeFile(`${tmp.path}/${name}`, '')
    expect(text(await nextOf(stream))).toBe('CREATE y')
    const { events } = await client().getWatcherEvents({ watcherId })
    expect(events.map(text)).toEqual(['CREATE y'])
    const refused = await client()
      .createWatcher(request, { headers: { 'watch-exclude': '%' } })
      .then(() => {}, ConnectError.from)
    expect(refused).toMatchObject({ code: Code.InvalidArgument })
  })

  test('C27 keepalives come, and leaving ends the stream', async () => {
    await using tmp = await makeTmpDir()
    const leave = new AbortController()
    const options = { signal: leave.signal, headers: { 'keepalive-ping-interval': '1' } }
    const stream = client().watchDir({ path: tmp.path }, options)[Symbol.asyncIterator]()
    expect((await stream.next()).value?.event.case).toBe('start')
    expect((await stream.next()).value?.event.case).toBe('keepalive')
    leave.abort()
    await expect(stream.next().then(() => {})).rejects.toMatchObject({ code: Code.Canceled })
  })

  test('C26 a stream that cannot begin ends with the error', async () => {
    const stream = client().watchDir({ path: '/none' })[Symbol.asyncIterator]()
    const error = await stream.next().catch(ConnectError.from)
    expect(error).toMatchObject({ code: Code.NotFound, rawMessage: expect.stringContaining('path /none not found') })
  })

  test('C39 C40 C41 a poll of thousands of events is whole and in order, with the entries', async () => {
    await using tmp = await makeTmpDir()
    const filesystem = client()
    const { watcherId } = await filesystem.createWatcher({ path: tmp.path, includeEntry: true })
    expect((await filesystem.getWatcherEvents({ watcherId })).events).toEqual([])
    const names = Array.from({ length: 2_345 }, (_, index) => `file ${index}`)
    for (const name of names) await writeFile(`${tmp.path}/${name}`, '')
    const { events } = await filesystem.getWatcherEvents({ watcherId })
    expect(events.map(text)).toEqual(names.map((name) => `CREATE ${name}`))
    expect(events.every(({ name, entry }) => entry?.path === `${tmp.path}/${name}`)).toBe(true)
    const { entries } = await filesystem.listDir({ path: tmp.path })
    expect(entries.map(({ name }) => name)).toEqual(names.toSorted())
    await filesystem.removeWatcher({ watcherId })
    await expect(filesystem.getWatcherEvents({ watcherId })).rejects.toMatchObject({
      code: Code.NotFound,
      rawMessage: `watcher with id ${watcherId} not found`,
    })
  })

  test('J1 J2 J3 an old Python client gets no entries with a poll', async () => {
    await using tmp = await makeTmpDir()
    const headers = { 'user-agent': 'connect-python' }
    const filesystem = client()
    const { watcherId } = await filesystem.createWatcher({ path: tmp.path, includeEntry: true }, { headers })
    await writeFile(`${tmp.path}/f`, '')
    const { events } = await filesystem.getWatcherEvents({ watcherId }, { headers })
    expect(events).toMatchObject([{ name: 'f', type: EventType.CREATE }])
    expect(events[0]?.entry).toBeUndefined()
  })
})

/** The next event of a stream. Throws at its end. */
async function nextOf(stream: AsyncIterator<WatchDirResponse>) {
  for (;;) {
    const { done, value } = await stream.next()
    if (done === true) throw new Error('the stream has ended')
    if (value.event.case === 'filesystem') return value.event.value
  }
}
