import { mkdir, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { enveloped, messageReader, USER } from './client.ts'
import { higher, lower, type Measure, type Row } from './measure.ts'
import { memoryOf, type Target } from './target.ts'

const OUTER = 50
const INNER = 100
const FILES = 10
const BURST = 20_000

/** A recursive watch of 50,000 files in 5,000 directories: what it costs, and what of a burst arrives. */
export const watchTree: Measure = {
  name: 'watch-tree',
  async run(target) {
    const root = join(target.dir, 'tree')
    await makeTree(root)
    const before = target.pid === undefined ? undefined : memoryOf(target.pid, 'VmRSS')
    const probe = probeHealth(target)
    const watch = openWatch(target, root)
    const began = performance.now()
    await watch.started
    const armed = performance.now() - began
    const delay = await probe.stop()
    const after = target.pid === undefined ? undefined : memoryOf(target.pid, 'VmRSS')
    const seen = await burst(watch, join(root, 'd7'))
    watch.close()
    await rm(root, { recursive: true })
    const rows: Row[] = [
      lower('recursive watch of 50,000 files in 5,000 directories, ms until start', armed),
      lower('longest answer of /health meanwhile, ms', delay),
      higher(`of ${BURST} files made in a burst, reported`, seen),
    ]
    if (before !== undefined && after !== undefined) rows.push(lower('memory growth by that watch, MB', after - before))
    return rows
  },
}

async function makeTree(root: string): Promise<void> {
  for (let i = 0; i < OUTER; i++) {
    for (let j = 0; j < INNER; j++) {
      const dir = join(root, `d${i}`, `e${j}`)
      await mkdir(dir, { recursive: true })
      await Promise.all(Array.from({ length: FILES }, (_, file) => writeFile(join(dir, `file${file}`), '')))
    }
  }
}

/** Asks the daemon for its health, one call after the other: an upper bound for how long its event loop is blocked. */
function probeHealth({ client }: Target): { stop(): Promise<number> } {
  let over = false
  const asking = (async () => {
    let longest = 0
    while (!over) {
      const began = performance.now()
      await client.send({ method: 'GET', path: '/health' })
      longest = Math.max(longest, performance.now() - began)
    }
    return longest
  })()
  return {
    stop: () => {
      over = true
      return asking
    },
  }
}

/** Files of a burst that are reported within ten seconds after it. */
async function burst(watch: Watch, dir: string): Promise<number> {
  for (let at = 0; at < BURST; at += 500)
    await Promise.all(Array.from({ length: 500 }, (_, i) => writeFile(join(dir, `burst${at + i}`), '')))
  for (let i = 0; i < 1_000 && watch.created.size < BURST; i++) await new Promise((resolve) => setTimeout(resolve, 10))
  return watch.created.size
}

interface Watch {
  readonly started: Promise<void>
  /** Files of the burst that were reported. */
  readonly created: ReadonlySet<string>
  close(): void
}

function openWatch({ client }: Target, path: string): Watch {
  const started = Promise.withResolvers<void>()
  const created = new Set<string>()
  const onMessage = messageReader((message) => {
    const { start, filesystem, error } = JSON.parse(message.toString())
    if (error !== undefined) started.reject(new Error(error.message))
    if (start !== undefined) started.resolve()
    if (filesystem?.name.includes('burst') && filesystem.type === 'EVENT_TYPE_CREATE') created.add(filesystem.name)
  })
  const headers = { ...USER, 'content-type': 'application/connect+json', 'connect-protocol-version': '1' }
  const outgoing = request(new URL('/filesystem.Filesystem/WatchDir', client.url), { method: 'POST', headers })
  outgoing.on('error', started.reject)
  outgoing.on('response', (response) => response.on('data', onMessage).on('error', () => {}))
  outgoing.end(enveloped(Buffer.from(JSON.stringify({ path, recursive: true }))))
  return { started: started.promise, created, close: () => outgoing.destroy() }
}
