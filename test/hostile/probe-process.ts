/**
 * Run by `startProbe`: asks a daemon for its health every few milliseconds, each time over a connection of its own, whether or not
 * earlier answers have come. Argument: the daemon's URL. Sends, after `report`, what it saw since the last report.
 */
import { request } from 'node:http'

const INTERVAL_MS = 20

/** Sent to the test: milliseconds of each answer, in order of size, and how many calls failed. */
export interface Seen {
  readonly times: readonly number[]
  readonly failed: number
}

const [url = ''] = process.argv.slice(2)
let times: number[] = []
let failed = 0

function ask(): void {
  const began = performance.now()
  const outgoing = request(`${url}/health`, { agent: false, headers: { connection: 'close' } }, (incoming) => {
    incoming.resume().on('end', () => {
      if (incoming.statusCode === 204) times.push(performance.now() - began)
      else failed += 1
    })
    incoming.on('error', () => {
      failed += 1
    })
  })
  outgoing.on('error', () => {
    failed += 1
  })
  outgoing.end()
}

const timer = setInterval(ask, INTERVAL_MS)
process.on('message', () => {
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
