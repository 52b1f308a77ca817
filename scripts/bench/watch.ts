import { writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { enveloped, messageReader } from './client.ts'
import { latencyOf, lower, type Measure, type Row } from './measure.ts'
import type { Target } from './target.ts'

const OUTER = 50
const INNER = 100
/** In memory: making a file on a disk can take longer than telling of it. */
const MEMORY = '/dev/shm'

/** A recursive watch of 50 directories with 100 each: how long it takes to arm, and how late an event is. */
export const watching: Measure = {
  name: 'watch',
  async run(target) {
    const root = await mkdtemp(join(MEMORY, 'envd-bench-'))
    try {
      return await measure(target, root)
    } finally {
      await rm(root, { recursive: true })
    }
  },
}

async function measure(target: Target, root: string): Promise<Row[]> {
  for (let i = 0; i < OUTER; i++)
    for (let j = 0; j < INNER; j++) await mkdir(join(root, `d${i}`, `e${j}`), { recursive: true })
  const watch = openWatch(target, root)
  const began = performance.now()
  await watch.started
  const start = performance.now() - began
  const create = async (index: number) => {
    const name = `d25/e50/file${index}`
    const told = watch.next(name)
    // At once: the trips of an asynchronous write to the thread pool are not the daemon's.
    writeFileSync(join(root, name), '')
    await told
  }
  const { p50 } = await latencyOf(create, { count: 200, warm: 10 })
  watch.close()
  return [
    lower('recursive watch of 5,050 directories, ms until start', start, 95),
    lower('watch event p50, ms', p50, 0.27),
  ]
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
  const headers = { 'content-type': 'application/connect+json', 'connect-protocol-version': '1' }
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
