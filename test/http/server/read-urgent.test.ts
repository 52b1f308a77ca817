import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createUrgentReads } from '../../../src/http/server/read-urgent.ts'
import { descriptorOf } from '../../../src/lib/descriptor.ts'

/** What has been read of a connection, in its first turn of the event loop, at its beginning and at its end. */
interface FirstTurn {
  readonly atOnce: string
  readonly atTheEnd: string
}

/** Waits for one connection to a server, to which `come` connects; `during` is called with it once it was looked at. */
async function firstTurn(come: (port: number) => void, during: (socket: Socket) => void = () => {}) {
  const readUrgent = createUrgentReads()
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { promise, resolve } = Promise.withResolvers<FirstTurn>()
  server.once('connection', (socket) => {
    const seen = () => {
      const bytes: Buffer = socket.read() ?? Buffer.alloc(0)
      if (bytes.length > 0) socket.unshift(bytes)
      return bytes.toString()
    }
    readUrgent(socket)
    const atOnce = seen()
    during(socket)
    setImmediate(() => {
      resolve({ atOnce, atTheEnd: seen() })
      socket.destroy()
    })
  })
  come((server.address() as AddressInfo).port)
  const turn = await promise
  server.close()
  return turn
}

/** Connects and sends, from another process, before this one goes on. */
const sent = (text: string) => (port: number) => {
  const script = 'exec 3<>/dev/tcp/127.0.0.1/$1; printf %s "$2" >&3'
  execFileSync('bash', ['-c', script, 'bash', String(port), text])
}

const HEALTH = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'

test('a health check that has come is read as soon as its connection is accepted', async () => {
  expect(await firstTurn(sent(HEALTH))).toEqual({ atOnce: HEALTH, atTheEnd: HEALTH })
})

test('what is not answered at once waits for the next turn', async () => {
  expect(await firstTurn(sent('GET /files HTTP/1.1\r\n\r\n'))).toEqual({ atOnce: '', atTheEnd: '' })
  expect(await firstTurn(sent(''))).toEqual({ atOnce: '', atTheEnd: '' })
})

test('what comes a moment later is read at the end of the turn', async () => {
  let client: Socket | undefined
  const say = () => void writeSync((client && descriptorOf(client)) ?? -1, HEALTH)
  const come = (port: number) => {
    client = connect(port, '127.0.0.1')
  }
  expect(await firstTurn(come, say)).toEqual({ atOnce: '', atTheEnd: HEALTH })
  client?.destroy()
})
