import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'

/** The kernel lets a client that finds no room try again after a second; none has room before the daemon goes on. */
const CLIENTS = 2000
const TIMEOUT_MS = 10_000

test('2,000 clients that connect while the daemon stands still need not try again', async () => {
  await using daemon = await startDaemon()
  process.kill(daemon.pid, 'SIGSTOP')
  const sockets = Array.from({ length: CLIENTS }, () => connect(daemon.port, '127.0.0.1').on('error', () => {}))
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    await Promise.all(sockets.map((socket) => once(socket, 'connect', { signal })))
  } finally {
    process.kill(daemon.pid, 'SIGCONT')
    for (const socket of sockets) socket.destroy()
  }
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
})
