import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { keepFewParsers } from '../../../src/http/server/kept-parsers.ts'

/** Node's list of parsers that are not in use. */
function kept(): number {
  const common = process.getBuiltinModule('_http_common') as unknown as { parsers: { list: unknown[] } }
  return common.parsers.list.length
}

test('of the parsers of many connections few stay', async () => {
  keepFewParsers()
  const server = createServer((_request, response) => response.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const closed: Promise<unknown>[] = []
  server.on('connection', (socket) => closed.push(once(socket, 'close')))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const sockets = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const socket = connect(port, '127.0.0.1')
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
      await once(socket, 'data')
      return socket
    }),
  )
  for (const socket of sockets) socket.destroy()
  await Promise.all(closed)
  expect(kept()).toBe(64)
  server.close()
})
