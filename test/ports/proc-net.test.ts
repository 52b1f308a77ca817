import { once } from 'node:events'
import { copyFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { listeningSockets } from '../../src/native/index.ts'
import { type ListeningSocket, unpackListening } from '../../src/native/listening.ts'
import { parseTable, procNetReader } from '../../src/ports/proc-net.ts'
import { socketReader } from '../../src/ports/read-sockets.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const HEADER =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                     '

function line(local: string, state = '0A', inode = '77'): string {
  return `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 00000000 100 0 0 10 0\n`
}

const IPV6_LINE = (local: string) => line(local).replace(' 00000000:0000', ' 00000000000000000000000000000000:0000')

test.each([
  ['0100007F:1F90', '127.0.0.1', 8080],
  ['00000000:0050', '0.0.0.0', 80],
  ['1500FEA9:0BB8', '169.254.0.21', 3000],
])('G1 the line of %s in /proc/net/tcp is the listener %s %i', (local, address, port) => {
  expect(parseTable(`${HEADER}\n${line(local)}`)).toEqual([
    { address, port, onlyIpv6: undefined, uid: 1000, inode: '77' },
  ])
})

test.each([
  ['00000000000000000000000001000000:1F90', '::1'],
  ['00000000000000000000000000000000:1F90', '::'],
  ['0000000000000000FFFF00000100007F:1F90', '127.0.0.1'],
  ['B80D0120000000000000000001000000:1F90', '2001:db8::1'],
])('G1 the line of %s in /proc/net/tcp6 is a listener on %s', (local, address) => {
  expect(parseTable(`${HEADER}\n${IPV6_LINE(local)}`)).toMatchObject([{ address, port: 8080 }])
})

test('G1 connections in other states are no listeners', () => {
  expect(parseTable(`${HEADER}\n${line('0100007F:1F90', '01')}${line('0100007F:1F91', '06')}`)).toEqual([])
})

test('a file that is no table of sockets is refused, an empty one too', () => {
  expect(() => parseTable('')).toThrow('not a table')
  expect(() => parseTable('hello\nworld\n')).toThrow('not a table')
})

test('a kernel without IPv6 has no tcp6; once there was one, its absence is a failure', async () => {
  await using dir = await makeTmpDir()
  await writeFile(join(dir.path, 'tcp'), `${HEADER}\n${line('0100007F:1F90')}`)
  const read = procNetReader(dir.path, 100)
  expect(await read()).toHaveLength(1)
  await writeFile(join(dir.path, 'tcp6'), `${HEADER}\n${IPV6_LINE('00000000000000000000000001000000:1F90')}`)
  expect(await read()).toHaveLength(2)
  await rm(join(dir.path, 'tcp6'))
  await expect(read()).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a long table is read to the end of its listeners, and no further than the limit', async () => {
  await using dir = await makeTmpDir()
  const lines = Array.from({ length: 900 }, (_, i) =>
    line(`0100007F:${(i + 1000).toString(16).toUpperCase().padStart(4, '0')}`, '0A', `${i}`),
  )
  await writeFile(join(dir.path, 'tcp'), `${HEADER}\n${lines.join('')}`)
  await copyFile(join(dir.path, 'tcp'), join(dir.path, 'tcp6'))
  expect(await procNetReader(dir.path, 5000)()).toHaveLength(1800)
  expect(await procNetReader(dir.path, 1000)()).toHaveLength(1000)
})

test('G1 sock_diag and /proc/net report the same listeners', async () => {
  const servers = await Promise.all(
    [...Array(100).fill('127.0.0.1'), '::1', '0.0.0.0', '::'].map(async (host: string) => {
      const server = createServer().listen({ host, port: 0 })
      await once(server, 'listening')
      return server
    }),
  )
  const own = ({ inode }: ListeningSocket) => inodes.has(inode)
  const comparable = (sockets: ListeningSocket[]) =>
    sockets
      .filter(own)
      .map(({ address, port, uid, inode }) => `${address} ${port} ${uid} ${inode}`)
      .sort()
  const ports = new Set(servers.map((server) => Object(server.address()).port))
  const diag = unpackListening(await listeningSockets(4096))
  const inodes = new Set(diag.filter(({ port }) => ports.has(port)).map(({ inode }) => inode))
  expect(inodes.size).toBe(servers.length)
  expect(comparable(diag)).toEqual(comparable(await procNetReader('/proc/net', 4096)()))
  for (const server of servers) server.close()
})

test('sock_diag reports which wildcard sockets take no IPv4', async () => {
  const [both, only] = [
    createServer().listen({ host: '::', port: 0 }),
    createServer().listen({ host: '::', port: 0, ipv6Only: true }),
  ]
  await Promise.all([once(both, 'listening'), once(only, 'listening')])
  const found = unpackListening(await listeningSockets(4096))
  const of = (server: typeof both) => found.find(({ port }) => port === Object(server.address()).port)
  expect(of(both)).toMatchObject({ address: '::', onlyIpv6: false })
  expect(of(only)).toMatchObject({ address: '::', onlyIpv6: true })
  both.close()
  only.close()
})

test('the files stand in where the kernel has no sock_diag', async () => {
  await using dir = await makeTmpDir()
  await writeFile(join(dir.path, 'tcp'), `${HEADER}\n${line('0100007F:1F90')}`)
  const diag = () => Promise.reject(Object.assign(new Error('socket: EPROTONOSUPPORT'), { code: 'EPROTONOSUPPORT' }))
  expect(await socketReader({ diag, procNet: dir.path })()).toMatchObject([{ address: '127.0.0.1', port: 8080 }])
})
