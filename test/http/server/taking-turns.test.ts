import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createListener } from '../../../src/http/server/listener.ts'
import { recordingLog } from '../../_util/recording-log.ts'

const CONNECT_ALL = `
import socket, sys
made = [socket.create_connection(('127.0.0.1', int(sys.argv[1]))) for _ in range(17)]
for each in made: each.sendall(b'GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' * 60)
`

test('requests behind health checks are parsed in turns, on however many connections they come', async () => {
  const listener = createListener({ log: recordingLog().log, token: { isSet: false } })
  let parsed = 0
  const server = listener.serverFactory((_request, response) => void response.writeHead(204).end())
  // The parsing of one connection takes longer than a turn may, however fast the machine is.
  server.on('request', () => {
    parsed++
    const began = performance.now()
    while (performance.now() - began < 0.1);
  })
  const port = await listener.listen({ address: '127.0.0.1', port: 0 })
  // The event loop stands meanwhile.
  expect(spawnSync('python3', ['-c', CONNECT_ALL, String(port)]).status).toBe(0)
  let most = 0
  while (parsed < 17 * 60) {
    const before = parsed
    await setImmediate()
    most = Math.max(most, parsed - before)
  }
  expect(most).toBeLessThan(300)
  const closed = once(server, 'close')
  await listener.close(0)
  await closed
})
