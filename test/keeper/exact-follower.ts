import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { open, type ProcessMessage } from '../_util/rpc.ts'

/** What a client has received of one process, through any number of crashes. */
export interface Followed {
  readonly status: string | undefined
  /** SHA-256 of each stream, in hexadecimal digits. */
  readonly digests: Readonly<Record<'stdout' | 'stderr' | 'pty', string>>
  readonly text: string
}

const STREAMS = ['stdout', 'stderr', 'pty'] as const

/** Repeats a call until a daemon answers it. */
export async function untilAnswered<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch {
      await delay(5)
    }
  }
}

/** SHA-256 in hexadecimal digits. */
export function digestOf(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/**
 * Follows a process to its end: where a stream breaks it goes on at exactly the byte where that broke. Rejects when a
 * byte is missing or comes twice, or the process is not known any more.
 */
export async function followExactly(
  url: string,
  pid: number,
  onText: (text: string) => void = () => {},
): Promise<Followed> {
  const offsets = { stdout: 0, stderr: 0, pty: 0 }
  const hashes = { stdout: createHash('sha256'), stderr: createHash('sha256'), pty: createHash('sha256') }
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder(), pty: new TextDecoder() }
  let text = ''
  const take = ({ event }: ProcessMessage) => {
    for (const name of STREAMS) {
      const data = event.data?.[name]
      if (data === undefined) continue
      const at = Number(event.data?.offset ?? 0)
      if (at !== offsets[name]) throw new Inexact(`${name} of ${pid} goes on at ${at} after ${offsets[name]}`)
      const bytes = Buffer.from(data, 'base64')
      hashes[name].update(bytes)
      offsets[name] += bytes.length
      const part = decoders[name].decode(bytes, { stream: true })
      if (text.length < 1_000_000) text += part
      onText(part)
    }
  }
  for (;;) {
    const status = await followOnce(url, pid, offsets, take)
    if (status === undefined) {
      await delay(5)
      continue
    }
    const digests = {
      stdout: hashes.stdout.digest('hex'),
      stderr: hashes.stderr.digest('hex'),
      pty: hashes.pty.digest('hex'),
    }
    return { status, digests, text }
  }
}

class Inexact extends Error {}

/** The status at the end; undefined: the stream broke. */
async function followOnce(
  url: string,
  pid: number,
  offsets: Readonly<Record<(typeof STREAMS)[number], number>>,
  take: (message: ProcessMessage) => void,
): Promise<string | undefined> {
  const resumeFrom = Object.fromEntries(STREAMS.map((name) => [name, String(offsets[name])]))
  try {
    const stream = await open(url, 'process.Process/Connect', { process: { pid }, resumeFrom })
    for (;;) {
      const { done, value } = await stream.messages.next()
      if (done) {
        const code = value.error?.code
        if (code === 'unavailable' || code === undefined) return undefined
        throw new Inexact(`${pid} at ${JSON.stringify(resumeFrom)}: ${JSON.stringify(value)}`)
      }
      take(value)
      if (value.event.end !== undefined) return value.event.end.status
    }
  } catch (error) {
    if (error instanceof Inexact) throw error
    return undefined
  }
}
