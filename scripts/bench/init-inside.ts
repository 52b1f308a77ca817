/**
 * Run in a network of its own, on the host's processor, by the measure `init-vm` and by a test: a metadata service, a
 * daemon as in a microVM, and an orchestrator that calls `POST /init`, alone and beside callers who give up. Prints a
 * `Measured` as JSON. Fails when a call is answered with another status than 204.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startDaemon } from '../../test/_util/daemon.ts'
import { HOST } from '../../test/_util/micro-vm.ts'
import { OPTIONS, startFakeMmds } from '../../test/init/mmds/fake-mmds.ts'
import { ON_MACHINE } from '../../test/orchestrator/processors.ts'

/** Milliseconds from the first byte of a connection of its own until the answer, per call. */
export interface Measured {
  readonly alone: readonly number[]
  readonly amid: readonly number[]
}

const CALLS = 500
const PAUSE_MS = 2

/** Attempts that are under way at any time, and how long one lasts until its caller gives up. */
const LEAVERS = 1_000
const LEAVER_PATIENCE_MS = 4_000

const TOKEN = 'a'.repeat(64)

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const accessTokenHash = createHash('sha512').update(TOKEN).digest('hex')

await using _ = await startFakeMmds({ host: HOST, port: 80 }, { ...OPTIONS, address: '', accessTokenHash })
const [first = 'nice', ...words] = [...ON_MACHINE, 'nice', '-n', '0', path('../envd')]
await using daemon = await startDaemon({ launch: [first, ...words], args: ['-isnotfc=false'] })

await measure()
const alone = await measure()
const leavers = await startLeavers()
await measure()
const amid = await measure()
leavers.kill('SIGKILL')
await once(leavers, 'exit')
console.log(JSON.stringify({ alone, amid } satisfies Measured))

async function measure(): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < CALLS; i++) {
    times.push(await call())
    await delay(PAUSE_MS)
  }
  return times
}

async function call(): Promise<number> {
  const body = JSON.stringify({ accessToken: TOKEN, envVars: { A: 'b' }, timestamp: new Date().toISOString() })
  const before = performance.now()
  const socket = connect(daemon.port, '127.0.0.1')
  socket.write(`POST /init HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  const [answer] = await once(socket, 'data')
  const time = performance.now() - before
  socket.destroy()
  if (!String(answer).startsWith('HTTP/1.1 204 ')) throw new Error(String(answer))
  return time
}

/** With the lowest priority on the host's processor: what is measured is not to wait for them. */
async function startLeavers(): Promise<ChildProcess> {
  const script = path('init-leavers.ts')
  const command = [process.execPath, script, daemon.url, String(LEAVERS), String(LEAVER_PATIENCE_MS)]
  const child = spawn('nice', ['-n', '39', ...command], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await once(child, 'message')
  return child
}
