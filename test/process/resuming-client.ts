import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-web'
import { Process, type ProcessEvent } from '../../src/gen/process/process_pb.js'

/** What a command printed, and its ends: exactly one, of a daemon that resumes well. */
export interface Printed {
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly statuses: readonly string[]
  /** Connections that broke. */
  readonly drops: number
}

interface Options {
  /** Where Start and Connect go. */
  readonly url: string
  /** Where `GET /health` goes. */
  readonly healthUrl: string
  readonly command: readonly [string, ...string[]]
  readonly timeoutMs: number
}

const ATTEMPTS = 5
const FIRST_PAUSE_MS = 250
const MAX_PAUSE_MS = 5_000
const HEADERS = { 'Keepalive-Ping-Interval': '50' }

/** Of a connection that broke, as fetch and its peers word it. */
const TERMINATED =
  /terminated|fetch failed|socket|ECONNRESET|network error|missing EndStreamResponse|premature|unexpected end/i

type Responses = AsyncIterable<{ readonly event?: ProcessEvent | undefined }>

/**
 * Runs a command as the draft of the JavaScript SDK does (contract N23): a stream that breaks is taken up where it
 * broke.
 */
export async function runResuming({ url, healthUrl, command, timeoutMs }: Options): Promise<Printed> {
  const client = createClient(Process, createConnectTransport({ baseUrl: url, fetch: globalThis.fetch }))
  const [cmd, ...args] = command
  const until = performance.now() + timeoutMs
  const heard = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[], statuses: [] as string[], drops: 0 }
  const at = { stdout: 0n, stderr: 0n, pty: 0n }
  let pid: number | undefined
  let resumable = false

  const read = async (responses: Responses, onStart: () => void) => {
    let first = true
    for await (const { event } of responses) {
      const reported = event?.event
      if (first && reported?.case !== 'start') throw new Error(`${reported?.case} in place of the start`)
      if (reported?.case === 'start') {
        onStart()
        pid ??= reported.value.pid
        resumable ||= reported.value.offsets !== undefined
      } else if (reported?.case === 'data' && reported.value.output.case !== undefined) {
        const { output, offset } = reported.value
        if (output.case !== 'pty') heard[output.case].push(output.value)
        at[output.case] = (offset ?? at[output.case]) + BigInt(output.value.length)
      } else if (reported?.case === 'end') heard.statuses.push(reported.value.status)
      first = false
    }
  }

  const resume = async (dropped: unknown) => {
    let failure = dropped
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      heard.drops++
      await new Promise((resolve) => setTimeout(resolve, Math.min(FIRST_PAUSE_MS * 2 ** attempt, MAX_PAUSE_MS)))
      const left = Math.round(until - performance.now())
      if (left <= 0) throw new ConnectError('the time is over', Code.DeadlineExceeded)
      const health = await fetch(`${healthUrl}/health`)
      if (health.status === 502) throw dropped
      try {
        const request = { process: { selector: { case: 'pid' as const, value: pid ?? 0 } }, resumeFrom: at }
        const responses = client.connect(request, { headers: HEADERS, timeoutMs: left })
        await read(responses, () => {
          attempt = -1
        })
        return
      } catch (error) {
        if (!isDrop(error)) throw error
        failure = error
      }
    }
    throw failure
  }

  try {
    const responses = client.start({ process: { cmd, args }, stdin: false }, { headers: HEADERS, timeoutMs })
    await read(responses, () => {})
  } catch (error) {
    if (!resumable || !isDrop(error)) throw error
    await resume(error)
  }
  return { ...heard, stdout: Buffer.concat(heard.stdout), stderr: Buffer.concat(heard.stderr) }
}

function isDrop(error: unknown): boolean {
  const { code, rawMessage } = ConnectError.from(error)
  return code === Code.Unavailable || (code === Code.Unknown && TERMINATED.test(rawMessage))
}
