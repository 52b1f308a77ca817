/**
 * Run in a network of its own: a daemon without any flag about forwarding, and a process that listens on ports of both
 * loopback addresses. Prints, as JSON, what connections to the default forwarding address get, and the states of the
 * ports.
 */
import { setTimeout } from 'node:timers/promises'
import { startDaemon } from '../_util/daemon.ts'
import { call } from '../_util/rpc.ts'
import { startPuppet } from './puppet.ts'
import { received } from './sockets.ts'

const DEFAULT = '169.254.0.21'
const PORTS = [3000, 5173]
/** Several scans of the daemon. */
const TIMEOUT_MS = 20_000

await using daemon = await startDaemon({ args: ['-verbose'] })
await using puppet = await startPuppet('p')
await puppet.listen('127.0.0.1', 3000)
await puppet.listen('::1', 5173)
const due = performance.now() + TIMEOUT_MS
const answers = () => Promise.all(PORTS.map((port) => received(DEFAULT, port)))
let got = await answers()
for (; got.includes('') && performance.now() < due; got = await answers()) await setTimeout(50)
const { body } = await call(daemon.url, 'ports.Ports/List', {})
const { listeners } = body as { listeners: { port: number; state: string }[] }
const states = listeners.filter(({ port }) => PORTS.includes(port)).map(({ state }) => state)
const warnings = daemon.stdout().match(/"level":"warn".*port-forwarder.*/g) ?? []
console.log(JSON.stringify({ got, states, warnings }))
