import { once } from 'node:events'
import { connect } from 'node:http2'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startDaemon } from '../../_util/daemon.ts'
import { send } from '../../_util/http.ts'
import { shell } from '../../_util/rpc.ts'

const launcher = fileURLToPath(new URL('../../../scripts/envd', import.meta.url))

test('requests to a port that does not answer leave descriptors to connections and commands', async () => {
  await using server = createServer()
  // Those that come late end with the daemon.
  server.on('connection', (socket) => void socket.on('error', () => {}).resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  await using daemon = await startDaemon({ launch: ['/bin/sh', '-c', 'ulimit -n 400; exec "$0" "$@"', launcher] })
  const sessions = Array.from({ length: 5 }, () => connect(daemon.url).on('error', () => {}))
  const answers = sessions.flatMap((session) =>
    Array.from({ length: 80 }, async () => {
      const stream = session.request({ ':path': `/ports/${port}/` }).on('error', () => {})
      const [headers] = await once(stream, 'response')
      return headers[':status']
    }),
  )
  expect(await Promise.any(answers)).toBe(503)
  expect((await send(`${daemon.url}/health`)).status).toBe(204)
  expect((await shell(daemon.url, 'echo through')).stdout.toString()).toBe('through\n')
  for (const answer of answers) answer.catch(() => {})
  for (const session of sessions) session.destroy()
})
