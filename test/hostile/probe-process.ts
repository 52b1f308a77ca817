/**
 * Run by `startProbe`: asks a daemon for its health every few milliseconds, each time over a connection of its own,
 * whether or not earlier answers have come. Arguments: the daemon's URL and pid. Sends, after `report`, what it saw
 * since the last report.
 */
import { readFileSync } from 'node:fs'
import { request } from 'node:http'

const INTERVAL_MS = 20

/**
 * Sent to the test: milliseconds of each answer, or of the wait so far, in order of size, and how many calls failed.
 */
export interface Seen {
  readonly times: readonly number[]
  /** Milliseconds of processor time that the daemon's main thread took meanwhile, in order of size. */
  readonly busy: readonly number[]
  readonly failed: number
}

const [url = '', pid = ''] = process.argv.slice(2)
let times: number[] = []
let busy: number[] = []
let failed = 0
/** When those calls began that have no answer yet. */
const waiting = new Set<Call>()

interface Call {
  readonly began: number
  /** `cpuTime` at the beginning. */
  readonly cpu: number
}

/**
 * Milliseconds that the daemon's main thread has run since its start (/proc/PID/task/TID/schedstat, the first number,
 * nanoseconds).
 */
function cpuTime(): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ', 1)[0]) / 1e6
}

function count({ began, cpu }: Call): void {
  times.push(performance.now() - began)
  busy.push(cpuTime() - cpu)
}

function ask(): void {
  const call = { began: performance.now(), cpu: cpuTime() }
  waiting.add(call)
  const outgoing = request(`${url}/health`, { agent: false, headers: { connection: 'close' } }, (incoming) => {
    incoming.resume().on('end', () => {
      if (incoming.statusCode === 204) count(call)
      else failed += 1
    })
    incoming.on('error', () => {
      failed += 1
    })
  })
  outgoing.on('error', () => {
    failed += 1
  })
  outgoing.on('close', () => waiting.delete(call))
  outgoing.end()
}

const timer = setInterval(ask, INTERVAL_MS)
process.on('message', () => {
  for (const call of waiting) count(call)
  const seen: Seen = { times: times.sort((a, b) => a - b), busy: busy.sort((a, b) => a - b), failed }
  times = []
  busy = []
  failed = 0
  process.send?.(seen)
})
process.on('disconnect', () => {
  clearInterval(timer)
  process.exit()
})
process.send?.('ready')
