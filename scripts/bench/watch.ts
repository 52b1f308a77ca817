import { closeSync, openSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { enveloped, messageReader, USER } from './client.ts'
import { lower, type Measure, quantile, type Row } from './measure.ts'
import type { Target } from './target.ts'

const OUTER = 50
const INNER = 100
const COUNT = 300
const WARM = 20
/** Making a file on a disk can take longer than telling of it. */
const MEMORY = '/dev/shm'

/**
 * A recursive watch of 50 directories with 100 each, on a disk and in memory: how long it takes to arm, and how late an
 * event is.
 */
export const watching: Measure = {
  name: 'watch',
  async run(target) {
    const rows: Row[] = []
    for (const [parent, where] of [
      [target.dir, 'disk'],
      [MEMORY, 'memory'],
    ] as const) {
      const root = await mkdtemp(join(parent, 'envd-bench-'))
      try {
        rows.push(...(await measure(target, root, where)))
      } finally {
        await rm(root, { recursive: true })
      }
    }
    return rows
  },
}

async function measure(target: Target, root: string, where: string): Promise<Row[]> {
  for (let i = 0; i < OUTER; i++)
    for (let j = 0; j < INNER; j++) await mkdir(join(root, `d${i}`, `e${j}`), { recursive: true })
  const watch = openWatch(target, root)
  const began = performance.now()
  await watch.started
  const start = performance.now() - began
  const events: Event[] = []
  for (let i = 0; i < COUNT + WARM; i++) events.push(await makeFile(watch, root, `d25/e50/file${i}`))
  watch.close()
  const p50 = (of: (event: Event) => number) => quantile(events.slice(WARM).map(of), 0.5)
  return [
    lower(`recursive watch of 5,050 directories, ${where}, ms until start`, start, where === 'disk' ? 95 : undefined),
    lower(
      `watch event, ${where}, p50 from before the file is made, ms`,
      p50(({ begun, reported }) => reported - begun),
      where === 'disk' ? 0.27 : undefined,
    ),
    lower(
      `watch event, ${where}, p50 from when the file is there, ms`,
      p50(({ made, reported }) => reported - made),
    ),
    lower(
      `making that file, ${where}, p50, ms`,
      p50(({ begun, made }) => made - begun),
    ),
  ]
}

/** When a file was about to be made, was there, and was reported. */
interface Event {
  readonly begun: number
  readonly made: number
  readonly reported: number
}

/** With one system call, at once: the trips of an asynchronous one to the thread pool are not the daemon's. */
async function makeFile(watch: Watch, root: string, name: string): Promise<Event> {
  const reported = watch.next(name)
  const path = join(root, name)
  const begun = performance.now()
  const descriptor = openSync(path, 'wx')
  const made = performance.now()
  await reported
  const event = { begun, made, reported: performance.now() }
  closeSync(descriptor)
  return event
}

interface Watch {
  readonly started: Promise<void>
  /** Resolves with the first event of a path below the watched directory. */
  next(name: string): Promise<void>
  close(): void
}

function openWatch({ client }: Target, path: string): Watch {
  const started = Promise.withResolvers<void>()
  let wanted: { readonly name: string; readonly resolve: () => void } | undefined
  const onMessage = messageReader((message) => {
    const { start, filesystem, error } = JSON.parse(message.toString())
    if (error !== undefined) started.reject(new Error(error.message))
    if (start !== undefined) started.resolve()
    if (filesystem !== undefined && filesystem.name === wanted?.name) wanted?.resolve()
  })
  const headers = { ...USER, 'content-type': 'application/connect+json', 'connect-protocol-version': '1' }
  const outgoing = request(new URL('/filesystem.Filesystem/WatchDir', client.url), { method: 'POST', headers })
  outgoing.on('error', started.reject)
  outgoing.on('response', (response) => response.on('data', onMessage).on('error', () => {}))
  outgoing.end(enveloped(Buffer.from(JSON.stringify({ path, recursive: true }))))
  return {
    started: started.promise,
    next: (name) => new Promise((resolve) => (wanted = { name, resolve })),
    close: () => outgoing.destroy(),
  }
}
