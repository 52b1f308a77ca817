import { open, pidOf, start, transcript } from '../../_util/rpc.ts'
import { sendInput } from '../../process/calls.ts'
import { check, type Field, ok, type Traffic, until } from '../field.ts'

interface Attached {
  readonly attached?: { readonly pid: number; readonly client?: number }
  readonly output?: { readonly data: string }
  readonly screen?: { readonly data?: string }
  readonly end?: object
}

/** Ends by itself, so that a daemon that dies in between leaves nothing. */
const READS = 'read -t 15 x; stty size; echo "got $x."'

async function plain(field: Field, id: string): Promise<void> {
  const { url } = field
  const stream = await start(url, 'bash', { args: ['-c', READS], pty: { cols: 80, rows: 24 } })
  const pid = await pidOf(stream)
  await ok(field, 'process.Process/Update', { process: { pid }, pty: { size: { cols: 101, rows: 31 } } })
  check((await sendInput(url, { pid }, { pty: `${id}\n` })).status === 200, 'input of a terminal')
  const { messages } = await stream.rest()
  const text = Buffer.concat(messages.map(({ event }) => Buffer.from(event.data?.pty ?? '', 'base64'))).toString()
  check(text.includes('31 101') && text.includes(`got ${id}.`), 'terminal', text)
}

async function named(field: Field, id: string): Promise<void> {
  const { url } = field
  const size = { columns: 90, rows: 25 }
  const request = { name: id, size, command: 'bash', args: ['-c', READS] }
  const stream = await open<Attached>(url, 'terminals.v1.Terminals/Open', request)
  const { attached } = await until(stream, (message) => message.attached !== undefined)
  const second = await open<Attached>(url, 'terminals.v1.Terminals/Attach', { terminal: { name: id }, size })
  await until(second, (message) => message.attached !== undefined)
  const data = Buffer.from(`${id}\n`).toString('base64')
  const written = { terminal: { name: id }, client: attached?.client ?? 0, data }
  await ok(field, 'terminals.v1.Terminals/Write', written)
  const texts = await Promise.all([stream, second].map(textOf))
  for (const text of texts) check(text.includes(`got ${id}.`), 'named terminal', texts)
}

async function textOf(stream: Awaited<ReturnType<typeof open<Attached>>>): Promise<string> {
  const { messages } = await stream.rest()
  return Buffer.concat(messages.map(({ output }) => Buffer.from(output?.data ?? '', 'base64'))).toString()
}

async function closed(field: Field, id: string): Promise<void> {
  const request = { name: id, size: { columns: 90, rows: 25 }, command: 'sleep', args: ['15'] }
  const stream = await open<Attached>(field.url, 'terminals.v1.Terminals/Open', request)
  await until(stream, (message) => message.attached !== undefined)
  await ok(field, 'terminals.v1.Terminals/Close', { terminal: { name: id } })
  await until(stream, (message) => message.end !== undefined)
  await stream.rest()
}

async function abandoned({ url }: Field, id: string): Promise<void> {
  const stream = await start(url, 'bash', { args: ['-c', `sleep 1; echo ${id}`], pty: { cols: 80, rows: 24 } })
  const pid = await pidOf(stream)
  stream.close()
  const again = await transcript(
    await open(url, 'process.Process/Connect', { process: { pid }, resumeFrom: { pty: '0' } }),
  )
  check(again.pty.toString().includes(id), 'terminal of a client that left', again.pty.toString())
}

/** Terminals of both services, with several clients, resized, closed and left. */
export const TERMINALS: readonly Traffic[] = [
  { name: 'a terminal', run: plain },
  { name: 'a named terminal with two clients', run: named },
  { name: 'a named terminal that is closed', run: closed },
  { name: 'a terminal whose client leaves', run: abandoned },
]
