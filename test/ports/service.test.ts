import { createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { Family, Ports } from '../../src/gen/ports/ports_pb.js'
import { Forwards } from '../../src/ports/forwards.ts'
import { PortTable } from '../../src/ports/port-table.ts'
import { createPortsService } from '../../src/ports/service.ts'
import { createUsers } from '../../src/users/users.ts'
import { startDaemon } from '../_util/daemon.ts'
import { call, open } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { takeNotes } from './notes.ts'
import { listed, nextAbout, statesOf, watchPorts } from './ports-client.ts'
import { startPuppet } from './puppet.ts'

const HERE = '127.0.21.5'
const daemon = sharedDaemon({ args: ['-forward-address', HERE] })

test('List reports a port that was opened a moment ago, with its process, and no longer of one that was closed', async () => {
  await using puppet = await startPuppet('p')
  const port = await puppet.listen('127.0.0.1')
  expect(await listed(daemon.url, port)).toMatchObject([
    { pid: puppet.pid, command: 'node', state: `bound to 127.0.0.1, forwarded to ${HERE}:${port}` },
  ])
  await puppet.close()
  expect(await listed(daemon.url, port)).toEqual([])
})

test('Watch reports all listeners first, then what opens and closes', async () => {
  await using puppet = await startPuppet('p')
  const before = await puppet.listen('127.0.0.1')
  const stream = await watchPorts(daemon.url)
  const { snapshot } = await stream.next()
  expect(snapshot?.listeners).toContainEqual(
    expect.objectContaining({ port: before, pid: puppet.pid, forwarded: true }),
  )
  const port = await puppet.listen('0.0.0.0')
  const opened = await nextAbout(stream, { port })
  expect(opened).toEqual({
    opened: expect.objectContaining({ pid: puppet.pid, command: 'node', state: 'reachable on all addresses' }),
  })
  await puppet.kill()
  expect(await nextAbout(stream, { port })).toEqual({ closed: opened.opened })
  stream.close()
})

test('Watch reports a state that changes', async () => {
  await using rival = await startPuppet('rival')
  await using puppet = await startPuppet('p')
  const port = await rival.listen(HERE)
  await puppet.listen('127.0.0.1', port)
  expect(await statesOf(daemon.url, port)).toEqual([`not forwarded: ${HERE}:${port} is in use by another listener`])
  const stream = await watchPorts(daemon.url)
  await stream.next()
  await rival.kill()
  const about = { port, here: HERE }
  const reported = [await nextAbout(stream, about), await nextAbout(stream, about)]
  expect(reported[0]).toMatchObject({ closed: { address: HERE } })
  expect(reported[1]).toMatchObject({ changed: { address: '127.0.0.1', pid: puppet.pid, forwarded: true } })
  stream.close()
})

const nobody = { user: undefined, userAgent: '', header: () => undefined, deadline: undefined }

test('Watch keeps an idle stream alive', async () => {
  const socket = { address: '127.0.0.1', port: 3000, onlyIpv6: false, uid: 0, inode: '0' }
  const forwards = new Forwards(undefined, takeNotes())
  const table = new PortTable({ readSockets: async () => [socket], forwards, users: createUsers(), log: takeNotes() })
  const over = new AbortController()
  const caller = { ...nobody, keepalive: 20, signal: over.signal }
  const items = createPortsService(table, { showArguments: true }).watch(undefined, caller)
  expect((await items.next()).value).toMatchObject({ kind: 'snapshot', listeners: [{ port: 3000 }], more: false })
  expect((await items.next()).value).toEqual({ kind: 'keepalive' })
  expect((await items.next()).value).toEqual({ kind: 'keepalive' })
  over.abort(new AppError('canceled', 'the client has gone'))
  await expect(items.next()).rejects.toMatchObject({ kind: 'canceled' })
})

test('Watch reports more listeners than one message should have in several', async () => {
  const sockets = Array.from({ length: 450 }, (_, i) => {
    return { address: '0.0.0.0', port: i + 1, onlyIpv6: false, uid: 0, inode: '0' }
  })
  const forwards = new Forwards(undefined, takeNotes())
  const table = new PortTable({ readSockets: async () => sockets, forwards, users: createUsers(), log: takeNotes() })
  const { signal } = new AbortController()
  const caller = { ...nobody, keepalive: 9_000, signal }
  const ports: number[] = []
  for await (const item of createPortsService(table, { showArguments: true }).watch(undefined, caller)) {
    if (item.kind !== 'snapshot') throw new Error(`${item.kind} within the snapshot`)
    ports.push(...item.listeners.map(({ port }) => port ?? 0))
    if (!item.more) break
  }
  expect(ports).toEqual(sockets.map(({ port }) => port))
})

test('Watch ends at its deadline', async () => {
  const stream = await watchPorts(daemon.url, { 'connect-timeout-ms': '300' })
  expect((await stream.rest()).end.error?.code).toBe('deadline_exceeded')
})

test('both calls are served over gRPC', async () => {
  const client = createClient(Ports, createGrpcTransport({ baseUrl: daemon.url }))
  const own = { port: Number(new URL(daemon.url).port), family: Family.IPV4, pid: daemon.pid }
  expect((await client.list({})).listeners).toContainEqual(expect.objectContaining(own))
  for await (const { event } of client.watch({})) {
    expect(event.case === 'snapshot' && event.value.listeners).toContainEqual(expect.objectContaining(own))
    break
  }
})

test('of a process that has written its title over its arguments List shows the title alone', async () => {
  const { body } = await call(daemon.url, 'ports.Ports/List', { filter: { port: daemon.port } })
  expect(body).toMatchObject({ listeners: [{ command: 'envd', args: ['envd'] }] })
})

test('List shows the arguments of the process, and filters by port and by command', async () => {
  await using puppet = await startPuppet('with-arguments')
  const port = await puppet.listen('127.0.0.1')
  const list = async (filter: object) => {
    const { body } = await call(daemon.url, 'ports.Ports/List', { filter })
    return (body as { listeners?: { port: number; command: string; args: string[] }[] }).listeners ?? []
  }
  const [found, ...others] = await list({ port })
  expect(others).toEqual([])
  expect(found?.args[0]).toMatch(/node$/)
  expect(found?.args.at(-1)).toBe('with-arguments')
  expect(await list({ port, command: 'no-such-program' })).toEqual([])
  const byCommand = await list({ command: 'node' })
  expect(byCommand.map((listener) => listener.command)).toEqual(byCommand.map(() => 'node'))
  expect(byCommand.map((listener) => listener.port)).toContain(port)
})

test('Watch with a filter streams what it chooses and nothing else', async () => {
  await using puppet = await startPuppet('p')
  const wanted = await puppet.listen('127.0.0.1')
  await puppet.listen('127.0.0.1')
  const stream = await open(daemon.url, 'ports.Ports/Watch', { filter: { port: wanted } })
  expect(await stream.next()).toMatchObject({ snapshot: { listeners: [{ port: wanted }] } })
  const other = await puppet.listen('0.0.0.0')
  await expect.poll(() => listed(daemon.url, other)).toHaveLength(1)
  await puppet.kill()
  expect(await stream.next()).toMatchObject({ closed: { port: wanted } })
  stream.close()
})

test('with -no-port-arguments no arguments are sent', async () => {
  await using quiet = await startDaemon({ args: ['-no-port-arguments'] })
  await using puppet = await startPuppet('secret')
  const port = await puppet.listen('127.0.0.1')
  const { body } = await call(quiet.url, 'ports.Ports/List', { filter: { port } })
  expect(JSON.stringify(body)).toContain('"command":"node"')
  expect(JSON.stringify(body)).not.toContain('secret')
})
