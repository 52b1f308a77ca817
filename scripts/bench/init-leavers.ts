/**
 * Run by the measure `init`: so many callers of `POST /init`, each of whom gives up after a while and tries again 50 ms
 * later, evenly spread. Half of them leave while their body is on its way, half with all of it sent, while they are
 * answered. Arguments: URL, number of callers, milliseconds until they give up. Sends a message once all are under way.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const PAUSE_MS = 50

const [href = '', count = '0', patience = '0'] = process.argv.slice(2)
const attemptMs = Number(patience)
const { hostname, port } = new URL(href)
const body = JSON.stringify({ timestamp: new Date(0).toISOString(), envVars: { A: 'x'.repeat(1_000) } })
const half = body.length >> 1
const head = `POST /init HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`

await Promise.all(Array.from({ length: Number(count) }, (_, i) => begin(i)))
process.send?.('under way')

/** Resolves once the caller has begun; it goes on until this process ends. */
async function begin(i: number): Promise<void> {
  await delay((i * (attemptMs + PAUSE_MS)) / Number(count))
  const first = await attempt()
  void goOn(first, i % 2 === 0)
}

async function goOn(first: Socket, whole: boolean): Promise<never> {
  for (let socket = first; ; socket = await attempt()) {
    await delay(attemptMs)
    if (whole) socket.write(body.slice(half))
    socket.destroy()
    await delay(PAUSE_MS)
  }
}

async function attempt(): Promise<Socket> {
  const socket = connect(Number(port), hostname).on('error', () => {})
  await once(socket, 'connect')
  socket.write(head + body.slice(0, half))
  return socket
}
