import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createConnections } from '../../../src/http/server/connections.ts'
import { createHttp1 } from '../../../src/http/server/http1.ts'

test('of what comes with the request that is one too many nothing is parsed', async () => {
  const connections = createConnections({ limit: 10, tokenIsSet: () => false, onFull: () => {} })
  const http1 = createHttp1({ handler: () => {}, headersTimeout: 60_000, connections })
  let parsed = 0
  http1.server.on('request', () => parsed++)
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [Socket]
  // All of it is read at once.
  await new Promise((resolve) => client.write('GET /x HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2000), resolve))
  http1.take(socket)
  socket.resume()
  await once(socket, 'close')
  expect(parsed).toBeGreaterThan(64)
  expect(parsed).toBeLessThan(68)
  client.destroy()
  server.close()
  http1.server.close()
})
