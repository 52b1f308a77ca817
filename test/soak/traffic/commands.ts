import { setTimeout as delay } from 'node:timers/promises'
import { pidOf, shell, start, transcript } from '../../_util/rpc.ts'
import { followExactly } from '../../keeper/exact-follower.ts'
import { runCommands, upload } from '../../keeper/mixed-load.ts'
import { closeStdin, connect, kill, sendInput, sendSignal } from '../../process/calls.ts'
import { check, type Field, type Traffic } from '../field.ts'
import { cleaned } from './remove.ts'

const FLOOD = 2_000_000

async function ends({ url, random }: Field, id: string, http2: boolean): Promise<void> {
  const code = random.int(100)
  const run = await shell(url, `echo out ${id}; echo err ${id} >&2; exit ${code}`, { http2 })
  const said = [run.stdout.toString(), run.stderr.toString(), run.end?.exitCode ?? 0]
  check(JSON.stringify(said) === JSON.stringify([`out ${id}\n`, `err ${id}\n`, code]), 'command', said)
}

async function isSignalled({ url, random }: Field): Promise<void> {
  const stream = await start(url, 'sh', { args: ['-c', 'sleep 20 & sleep 20'] })
  const pid = await pidOf(stream)
  const term = random.chance(0.5)
  const { status } = await (term ? sendSignal(url, { pid }, 'SIGNAL_SIGTERM') : kill(url, { pid }))
  check(status === 200, 'signal', status)
  const { messages } = await stream.rest()
  const end = messages.at(-1)?.event.end
  check(end?.status === (term ? 'signal: terminated' : 'signal: killed'), 'end', end)
}

async function floods({ url, random }: Field): Promise<void> {
  const stream = await start(url, 'head', { args: ['-c', String(FLOOD), '/dev/zero'] })
  const pause = random.chance(0.5) ? 300 : 0
  let bytes = 0
  for await (const { event } of stream.messages) {
    if (bytes === 0) await delay(pause)
    bytes += Buffer.from(event.data?.stdout ?? '', 'base64').length
  }
  check(bytes === FLOOD, 'flood', bytes)
}

async function readsInput({ url, random }: Field, id: string): Promise<void> {
  const stream = await start(url, 'timeout', { args: ['20', 'cat'] })
  const pid = await pidOf(stream)
  const text = `${id} `.repeat(1 + random.int(2000))
  check((await sendInput(url, { pid }, { stdin: text })).status === 200, 'input')
  check((await closeStdin(url, { pid })).status === 200, 'end of input')
  const { messages } = await stream.rest()
  const got = Buffer.concat(messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64')))
  check(got.toString() === text, 'echo', got.length)
}

async function isResumed({ url }: Field, id: string): Promise<void> {
  const script = `i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo ${id} $i; sleep 0.01; done`
  const stream = await start(url, 'sh', { args: ['-c', script] })
  const pid = await pidOf(stream)
  await stream.next()
  stream.close()
  const wanted = Array.from({ length: 50 }, (_, at) => `${id} ${at + 1}\n`).join('')
  const { text, status } = await followExactly(url, pid)
  check(text === wanted && status === 'exit status 0', 'resumed', { text, status })
}

async function runsOnce({ url }: Field, id: string): Promise<void> {
  const once = () => start(url, 'sh', { args: ['-c', `echo ${id}; sleep 0.1`], headers: { 'idempotency-key': id } })
  const streams = await Promise.all([once(), once()])
  const [first, second] = await Promise.all(streams.map(transcript))
  check(first?.pid === second?.pid && first?.stdout.toString() === `${id}\n`, 'repeated start', [first, second])
}

async function isNotRead({ url }: Field): Promise<void> {
  const stream = await start(url, 'timeout', { args: ['20', 'yes'] })
  const pid = await pidOf(stream)
  await delay(300)
  stream.close()
  const other = await connect(url, { pid })
  await kill(url, { pid })
  const { messages } = await other.rest()
  check(messages.at(-1)?.event.end?.status === 'signal: killed', 'end of an unread command', messages.at(-1))
}

async function isLate({ url }: Field): Promise<void> {
  const stream = await start(url, 'sleep', { args: ['20'], headers: { 'connect-timeout-ms': '200' } })
  // A daemon that is frozen for so long finds it over before it has started anything.
  const { end } = await stream.rest()
  check(end.error?.code === 'deadline_exceeded', 'deadline', end)
}

async function isMissing({ url }: Field, id: string): Promise<void> {
  const { messages, end } = await (await start(url, `/missing/${id}`)).rest()
  check(end.error !== undefined || messages.at(-1)?.event.end?.exitCode === 127, 'missing program', messages)
}

async function leavesChild({ url }: Field, id: string): Promise<void> {
  const run = await shell(url, `sleep 4 & echo ${id}`)
  check(run.stdout.toString() === `${id}\n` && run.end?.status === 'exit status 0', 'background child', run.end)
}

async function survives({ url, dir, random }: Field, id: string): Promise<void> {
  const file = `${dir}/${id}`
  await Promise.all([runCommands(url, `${file}.bytes`, random.int(200)), upload(url, `${file}.upload`)])
}

/**
 * Commands that end, fail, are killed, flood, read input, are read slowly, not at all, or again. Each ends by itself as
 * well: a run that is cut off when the daemon is exchanged ends nothing.
 */
export const COMMANDS: readonly Traffic[] = [
  { name: 'a command that ends', weight: 3, run: (field, id) => ends(field, id, false) },
  { name: 'a command over HTTP/2', run: (field, id) => ends(field, id, true) },
  { name: 'a program that is missing', run: isMissing },
  { name: 'a command that is signalled', run: isSignalled },
  { name: 'a flood, read at once or late', run: floods },
  { name: 'a command that reads input', run: readsInput },
  { name: 'a stream that is cut and resumed', run: isResumed },
  { name: 'a start that is sent twice', run: runsOnce },
  { name: 'a flood that is not read', run: isNotRead },
  { name: 'a deadline', run: isLate },
  { name: 'a background child', run: leavesChild },
  { ...cleaned('commands and uploads through crashes', survives, 0.5), survives: true },
]
