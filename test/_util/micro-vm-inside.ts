/**
 * Run by `startMicroVm` in a network of its own: listens where a microVM's host does and gives the sockets to the test,
 * starts a daemon, and passes on to it what arrives at a socket of the test's network. Arguments go to the daemon.
 */
import { once } from 'node:events'
import { connect, createServer, Server, type Socket } from 'node:net'
import { startDaemon } from './daemon.ts'

/** Sent to the test, with the socket of this port of HOST, or when the daemon listens. */
export type FromInside = { readonly port: number } | { readonly pid: number }
/** Sent by the test; `front` comes with a socket that listens in its own network. */
export type ToInside = 'front' | 'stop'

const [host = '', ports = '', ...args] = process.argv.slice(2)
const send = process.send?.bind(process)
if (send === undefined) throw new Error('to be started by startMicroVm')

for (const port of ports.split(',').map(Number)) {
  const server = createServer().listen(port, host)
  await once(server, 'listening')
  await new Promise((resolve) => send({ port } satisfies FromInside, server, {}, resolve))
  // Every process that listens on a socket gets a part of its connections.
  server.close()
}

const daemon = await startDaemon({ args: ['-isnotfc=false', ...args] })
process.on('message', (message: ToInside, handle: unknown) => {
  if (message === 'stop') void stop()
  else if (handle instanceof Server) handle.on('connection', passOn)
})
send({ pid: daemon.pid } satisfies FromInside)

async function stop(): Promise<void> {
  await daemon[Symbol.asyncDispose]()
  process.stdout.write(daemon.stdout())
  process.stderr.write(daemon.stderr())
  process.exit(0)
}

/** An end, also a sudden one, is passed on as well. */
function passOn(from: Socket): void {
  const to = connect(daemon.port, '127.0.0.1')
  for (const [one, other] of [
    [from, to],
    [to, from],
  ] as const) {
    one.pipe(other)
    one.on('error', () => {}).on('close', () => void (one.readableEnded || other.destroy()))
  }
}
