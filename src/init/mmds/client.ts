import { type IncomingMessage, request } from 'node:http'
import { AppError, errnoOf } from '../../errors.ts'
import { type MmdsOptions, parseMmdsOptions } from './options.ts'

/** Asks the microVM's metadata service (MMDS, version 2). */
export interface MmdsClient {
  /**
   * One look: a session token, unless the last one still serves, then the options. Rejects with AppError `unavailable`
   * if the service cannot be reached, does not answer within 10 s or answers nonsense, and with the signal's reason
   * once that aborts.
   */
  read(signal: AbortSignal): Promise<MmdsOptions>
}

/** How the service is reached. */
export interface MmdsClientOptions {
  /** URL without a slash at the end. */
  readonly base?: string
  /** Milliseconds for one look. */
  readonly timeout?: number
}

const SERVICE = 'http://169.254.169.254'
const TIMEOUT_MS = 10_000

const OK = 200

/** Bytes of an answer. The options take some 300. */
const MAX_ANSWER = 64 * 1024

/**
 * Makes a client. Each request has a connection of its own: after a snapshot was restored the service knows nothing of
 * older ones. A session token serves for as many looks as the service takes it; it expires, and the service of another
 * host knows nothing of it.
 */
export function createMmdsClient({ base = SERVICE, timeout = TIMEOUT_MS }: MmdsClientOptions = {}): MmdsClient {
  const { hostname: host, port } = new URL(base)
  let token = ''
  const renew = async (signal: AbortSignal) => {
    const headers = { 'X-metadata-token-ttl-seconds': '60' }
    token = textOf(await exchange({ host, port, path: '/latest/api/token', method: 'PUT', headers, signal }))
    if (token === '') throw new AppError('unavailable', 'the metadata service sent an empty token')
  }
  const ask = (signal: AbortSignal) => {
    const headers = { 'X-metadata-token': token, Accept: 'application/json' }
    return exchange({ host, port, path: '/', method: 'GET', headers, signal })
  }
  const look = async (signal: AbortSignal) => {
    if (token !== '') {
      const answer = await ask(signal)
      if (answer.status === OK) return parseMmdsOptions(answer.text)
    }
    await renew(signal)
    return parseMmdsOptions(textOf(await ask(signal)))
  }
  return {
    read: async (signal) => {
      signal.throwIfAborted()
      const controller = new AbortController()
      const abort = () => controller.abort(signal.reason)
      const late = () => controller.abort(new AppError('unavailable', 'the metadata service does not answer'))
      signal.addEventListener('abort', abort, { once: true })
      const timer = setTimeout(late, timeout).unref()
      try {
        return await look(controller.signal)
      } finally {
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
      }
    },
  }
}

interface Exchange {
  readonly host: string
  /** Empty: 80. */
  readonly port: string
  readonly path: string
  readonly method: 'GET' | 'PUT'
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

interface Answer {
  readonly status: number
  readonly text: string
}

/** One request without a body. */
function exchange({ signal, ...where }: Exchange): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...where, agent: false }, (answer) => {
      whole(answer).then(resolve, reject)
    })
    const abort = () => {
      reject(signal.reason)
      outgoing.destroy()
    }
    signal.addEventListener('abort', abort, { once: true })
    outgoing.on('error', (error) => reject(unreachable(error)))
    outgoing.on('close', () => signal.removeEventListener('abort', abort))
    outgoing.end()
  })
}

function whole(answer: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = []
  let length = 0
  return new Promise((resolve, reject) => {
    const fail = (problem: string) => reject(new AppError('unavailable', `the metadata service ${problem}`))
    answer.on('data', (chunk: Buffer) => {
      length += chunk.length
      chunks.push(chunk)
      if (length <= MAX_ANSWER) return
      fail('answers with too much')
      answer.destroy()
    })
    answer.on('end', () => {
      resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() })
    })
    answer.on('error', (error) => reject(unreachable(error)))
  })
}

function textOf({ status, text }: Answer): string {
  if (status === OK) return text
  throw new AppError('unavailable', `the metadata service answers with ${status}`)
}

function unreachable(cause: unknown): AppError {
  return new AppError('unavailable', `the metadata service cannot be reached: ${errnoOf(cause) ?? 'connection lost'}`, {
    cause,
  })
}
