import { connect } from 'node:net'
import { errnoOf } from '../errors.ts'

/** Where to post. */
export interface Collector {
  /** A name or an address, without brackets. */
  readonly host: string
  readonly port: number
  /** The request up to its length. */
  readonly head: string
}

/** How long a post may take. */
interface PostOptions {
  readonly timeoutMs: number
  /** Ends the request, which rejects with the reason. */
  readonly signal: AbortSignal
}

/** A status line is some dozens of bytes; an answer without one within this is no HTTP. */
const MAX_STATUS_LINE = 1024

const ANSWER = 'status '

/** Whether what went wrong is what the collector has answered, so that it has the line. */
export function isAnswer(problem: string | undefined): boolean {
  return problem?.startsWith(ANSWER) ?? true
}

/** The parts of an `http:` URL; undefined if it is none. */
export function parseCollector(address: string): Collector | undefined {
  const url = URL.parse(address)
  if (url?.protocol !== 'http:') return undefined
  const head = `POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\nContent-Type: application/json\r\n`
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 80), head }
}

/**
 * Posts JSON over a connection of its own, which a resumed machine needs, and which costs a third of what `node:http`
 * does. Resolves with undefined once the answer's status is 2xx, and otherwise with what went wrong, in a few words;
 * never rejects.
 */
export function postLine(collector: Collector, body: string, options: PostOptions): Promise<string | undefined> {
  const { host, port, head } = collector
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const timer = setTimeout(() => settle('no answer in time'), options.timeoutMs)
    const abandon = () => settle('given up')
    const settle = (problem: string | undefined) => {
      clearTimeout(timer)
      options.signal.removeEventListener('abort', abandon)
      socket.destroy()
      resolve(problem)
    }
    let answer = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text
      const status = /^HTTP\/1\.\d (\d{3})/.exec(answer)?.[1]
      if (status !== undefined) settle(status.startsWith('2') ? undefined : `${ANSWER}${status}`)
      else if (answer.length > MAX_STATUS_LINE) settle('no HTTP answer')
    })
    socket.on('error', (error) => settle(errnoOf(error) ?? 'connection failed'))
    socket.on('close', () => settle('closed without an answer'))
    options.signal.addEventListener('abort', abandon)
    if (options.signal.aborted) abandon()
    // The sending side stays open: a server may take its end for a client that has gone.
    socket.write(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  })
}
