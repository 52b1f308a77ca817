import { createHook } from 'node:async_hooks'
import { once } from 'node:events'
import { rename, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ListeningSocket } from '../../src/native/listening.ts'
import { Forwards } from '../../src/ports/forwards.ts'
import { PortTable } from '../../src/ports/port-table.ts'
import { procNetReader } from '../../src/ports/proc-net.ts'
import type { ReadSockets } from '../../src/ports/read-sockets.ts'
import { createUsers } from '../../src/users/users.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { takeNotes } from './notes.ts'

const HEADER = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const LINE =
  '   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0 100 0 0 10 0\n'

function makeTable(readSockets: ReadSockets) {
  const notes = takeNotes()
  const table = new PortTable({
    readSockets,
    forwards: new Forwards(undefined, notes),
    users: createUsers(),
    log: notes,
  })
  return { notes, table }
}

function listener(port: number, inode: string): ListeningSocket {
  return { address: '127.0.0.1', port, onlyIpv6: false, uid: 0, inode }
}

test('a reading that fails is not "no ports": what was known stays, and the log says so once', async () => {
  await using dir = await makeTmpDir()
  await writeFile(join(dir.path, 'tcp'), HEADER + LINE)
  const { table, notes } = makeTable(procNetReader(dir.path, 100))
  const known = await table.fresh()
  expect(known).toMatchObject([{ socket: { address: '127.0.0.1', port: 3000, inode: '77' }, user: 'root' }])
  await rename(join(dir.path, 'tcp'), join(dir.path, 'away'))
  expect(await table.fresh()).toBe(known)
  expect(await table.fresh()).toBe(known)
  expect(notes.warnings).toHaveLength(1)
  await writeFile(join(dir.path, 'tcp'), HEADER)
  expect(await table.fresh()).toEqual([])
  await writeFile(join(dir.path, 'tcp'), '')
  expect(await table.fresh()).toEqual([])
  expect(notes.warnings).toHaveLength(2)
  await table.close()
})

test('a listener that one reading leaves out is not taken for closed', async () => {
  const readings = [
    [listener(1, 'a'), listener(2, 'b')],
    [listener(1, 'a')],
    [listener(1, 'a'), listener(2, 'b')],
    [],
    [],
  ]
  const { table } = makeTable(async () => readings.shift() ?? [])
  const known = await table.fresh()
  expect(known.map(({ socket }) => socket.port)).toEqual([1, 2])
  expect(await table.fresh()).toBe(known)
  expect(readings).toHaveLength(2)
  expect(await table.fresh()).toEqual([])
  await table.close()
})

test('a user without a name is reported by number, and a socket without a process has no owner', async () => {
  const { table } = makeTable(async () => [{ ...listener(3000, '0'), uid: 54321 }])
  expect(await table.fresh()).toMatchObject([{ user: '54321', owner: undefined }])
  await table.close()
})

/** File operations that are begun while it runs. */
async function countFileCalls(run: () => Promise<unknown>): Promise<number> {
  let count = 0
  const init = (_id: number, type: string) => {
    if (type === 'FSREQPROMISE') count++
  }
  const hook = createHook({ init }).enable()
  await run()
  hook.disable()
  return count
}

test('calls that come together share one look at the owners', async () => {
  const servers = Array.from({ length: 100 }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = new Set(servers.map((server) => Object(server.address()).port))
  const readAll = procNetReader('/proc/self/net', 10_000)
  const { table } = makeTable(async () => (await readAll()).filter(({ port }) => ports.has(port)))
  expect((await table.fresh()).map(({ owner }) => owner?.pid)).toEqual(servers.map(() => process.pid))
  const one = await countFileCalls(() => table.fresh())
  const many = await countFileCalls(() => Promise.all(Array.from({ length: 50 }, () => table.fresh())))
  expect(one).toBeGreaterThan(100)
  expect(many).toBeLessThan(3 * one)
  await table.close()
  for (const server of servers) server.close()
})
