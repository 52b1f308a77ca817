/**
 * Run by `startProbe`: asks a daemon for its health every few milliseconds, each time over a connection of its own, whether or not
 * earlier answers have come. Argument: the daemon's URL. Sends, after `report`, what it saw since the last report.
 */
import { request } from 'node:http'

const INTERVAL_MS = 20

/** Sent to the test: milliseconds of each answer, or of the wait so far, in order of size, and how many calls failed. */
export interface Seen {
  readonly times: readonly number[]
  readonly failed: number
}

const [url = ''] = process.argv.slice(2)
let times: number[] = []
let failed = 0
/** When those calls began that have no answer yet. */
const waiting = new Set<{ readonly began: number }>()

function ask(): void {
  const call = { began: performance.now() }
  waiting.add(call)
  const answered = () => times.push(performance.now() - call.began)
  const outgoing = request(`${url}/health`, { agent: false, headers: { connection: 'close' } }, (incoming) => {
    incoming.resume().on('end', () => {
      if (incoming.statusCode === 204) answered()
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
  const now = performance.now()
  times.push(...Array.from(waiting, ({ began }) => now - began))
  const seen: Seen = { times: times.sort((a, b) => a - b), failed }
  times = []
  failed = 0
  process.send?.(seen)
})
process.on('disconnect', () => {
  clearInterval(timer)
  process.exit()
})
process.send?.('ready')
