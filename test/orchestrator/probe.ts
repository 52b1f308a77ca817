/**
 * Run by `startProbe`, before everything else on the machine: asks for health and metrics at fixed intervals, each over
 * a connection of its own, whether or not earlier answers have come (contract K20, K21). Argument: the daemon's URL.
 */
import { request } from 'node:http'

/**
 * Sent by the test. `go`: from now on, with this token. `stop`: the calls that are under way are the last. `report`:
 * says what was seen.
 */
export type ToProbe = { readonly go: string | undefined } | 'stop' | 'report'

/** The calls to one path. */
export interface Probed {
  readonly count: number
  /** Milliseconds of the slowest. */
  readonly longest: number
}

/** A call that was not answered well within its time. */
export interface Miss {
  readonly path: string
  readonly why: string
  readonly ms: number
  /** Milliseconds since 1970 at its start. */
  readonly at: number
}

/** Sent to the test: `quiet` at the beginning and, after `stop`, when no call is under way; the rest after `report`. */
export type FromProbe =
  | 'quiet'
  | { readonly probed: Readonly<Record<string, Probed>>; readonly misses: readonly Miss[] }

/**
 * The platform grants such a call 100 ms, which `npm run test:hostile` holds the daemon to. Ten times as long is for
 * what else this machine does; a daemon that waits for a command, a disk or the metadata service takes longer.
 */
const LIMIT_MS = 1_000
/** The platform asks every 20 s and every 5 s; more often, so that few moments go untested. */
const INTERVALS = { '/health': 20, '/metrics': 50 }
/** What the platform reads, by the version of the daemon (contract K21). */
const FIELDS = ['ts', 'cpu_used_pct', 'mem_total', 'mem_used', 'mem_cache', 'disk_used', 'disk_total']

const [url = ''] = process.argv.slice(2)
const probed: Record<string, Probed> = {}
const misses: Miss[] = []
let timers: NodeJS.Timeout[] = []
let open = 0
let stopping = false

process.on('message', (message: ToProbe) => {
  if (message === 'report') return say({ probed, misses })
  for (const timer of timers) clearInterval(timer)
  timers = []
  stopping = message === 'stop'
  if (message === 'stop') return tellIfQuiet()
  const headers = message.go === undefined ? {} : { 'x-access-token': message.go }
  timers = Object.entries(INTERVALS).map(([path, every]) => setInterval(() => void ask(path, headers), every))
})
process.on('disconnect', () => process.exit())
say('quiet')

function say(message: FromProbe): void {
  process.send?.(message)
}

function tellIfQuiet(): void {
  if (stopping && open === 0) say('quiet')
}

async function ask(path: string, headers: Record<string, string>): Promise<void> {
  open++
  const at = Date.now()
  const before = performance.now()
  const why = await answered(path, headers).catch((error: Error) => error.message)
  const ms = performance.now() - before
  const { count, longest } = probed[path] ?? { count: 0, longest: 0 }
  probed[path] = { count: count + 1, longest: Math.max(longest, ms) }
  if (why !== undefined || ms > LIMIT_MS) misses.push({ path, why: why ?? 'late', ms, at })
  open--
  tellIfQuiet()
}

/** Gives what is wrong with the answer. */
async function answered(path: string, headers: Record<string, string>): Promise<string | undefined> {
  const { status, text } = await get(path, headers)
  if (path === '/health') return status === 204 ? undefined : `status ${status}`
  if (status !== 200) return `status ${status}`
  const metrics: Record<string, unknown> = JSON.parse(text)
  const missing = FIELDS.filter((name) => typeof metrics[name] !== 'number')
  return missing.length > 0 ? `without ${missing}` : undefined
}

function get(path: string, headers: Record<string, string>): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url + path, { agent: false, headers: { connection: 'close', ...headers } })
    const limit = setTimeout(() => outgoing.destroy(new Error('no answer in time')), LIMIT_MS)
    outgoing.on('error', reject).on('close', () => clearTimeout(limit))
    outgoing.on('response', (incoming) => {
      let text = ''
      incoming.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      incoming.on('error', reject).on('end', () => resolve({ status: incoming.statusCode ?? 0, text }))
    })
    outgoing.end()
  })
}
