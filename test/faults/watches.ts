import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { open } from '../_util/rpc.ts'
import { NO_PATH, OK, type Outcome, type Place, request, type Scenario, unary } from './scenario.ts'

const FS = 'filesystem.Filesystem'

/** A watch, and a change that it must report. */
async function watched(place: Place, recursive: boolean): Promise<Outcome> {
  const stream = await open<{ filesystem?: { name: string }; start?: object }>(
    place.url,
    `${FS}/WatchDir`,
    { path: place.dir, recursive },
    { signal: place.signal },
  )
  try {
    for (;;) {
      const item = await stream.messages.next()
      if (item.done) return { code: item.value.error?.code ?? 'false success', text: item.value.error?.message ?? '' }
      if (item.value.start !== undefined) change(place, recursive)
      if (item.value.filesystem?.name === (recursive ? 'deep/er/new' : 'new')) return OK
    }
  } finally {
    stream.close()
  }
}

function change({ dir }: Place, recursive: boolean): void {
  if (recursive) mkdirSync(join(dir, 'deep/er'), { recursive: true })
  writeFileSync(join(dir, recursive ? 'deep/er/new' : 'new'), '')
}

async function polled(place: Place): Promise<Outcome> {
  const made = await unary(place, `${FS}/CreateWatcher`, { path: place.dir })
  const { watcherId } = made.answer
  if (made.code !== 'ok') return { code: made.code, text: made.text }
  try {
    change(place, false)
    for (;;) {
      const got = await unary(place, `${FS}/GetWatcherEvents`, { watcherId })
      if (got.code !== 'ok') return { code: got.code, text: got.text }
      if (JSON.stringify(got.answer).includes('"new"')) return OK
    }
  } finally {
    await unary({ ...place, signal: AbortSignal.timeout(5_000) }, `${FS}/RemoveWatcher`, { watcherId })
  }
}

const PATHS = ['DIR', NO_PATH, 'anon_inode:inotify']

/** Watches of every kind. */
export const WATCHES: readonly Scenario[] = [
  { name: 'WatchDir', matches: PATHS, run: (place) => watched(place, false) },
  {
    name: 'recursive WatchDir',
    matches: PATHS,
    // Directories that are closed, or gone, are left out.
    possible: ({ errno }) => errno !== 'EPERM' && errno !== 'ESTALE',
    run: (place) => watched(place, true),
  },
  { name: 'CreateWatcher', matches: PATHS, run: polled },
]

const get =
  (target: string, status: string): Scenario['run'] =>
  async (place) => {
    const { code, text, body } = await request(place, target)
    return code === 'ok' && !String(body).includes(status)
      ? { code: 'false success', text: String(body) }
      : { code, text }
  }

/** What is about the sandbox as a whole. */
export const SANDBOX: readonly Scenario[] = [
  { name: 'GET /metrics', matches: ['/proc/', '/sys/', NO_PATH, 'DIR'], run: get('/metrics', 'cpu') },
  {
    name: 'metrics.Metrics/Get',
    matches: ['/proc/', '/sys/'],
    run: async (place) => {
      const { code, text } = await unary(place, 'metrics.Metrics/Get', {})
      return { code, text }
    },
  },
  {
    name: 'ports.Ports/List',
    matches: ['/proc/', NO_PATH],
    run: async (place) => {
      const { code, text } = await unary(place, 'ports.Ports/List', {})
      return { code, text }
    },
  },
  {
    name: 'POST /init',
    matches: [NO_PATH, '/etc/', '/dev/urandom', 'memfd:', '/cgroup'],
    run: (place) =>
      request(place, '/init', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ envVars: { A: 'b' }, hyperloopIP: '10.11.12.13' }),
      }),
  },
  {
    name: 'a new connection',
    matches: ['socket:'],
    // What cannot be accepted is closed, or waits as long as that lasts.
    contract: ['broken', 'hang'],
    calls: ['accept4', 'setsockopt', 'getsockopt', 'fcntl', 'ioctl'],
    run: async (place) => {
      const { status } = await fetch(`${place.url}/health`, { signal: place.signal, headers: { connection: 'close' } })
      return status === 204 ? OK : { code: String(status), text: '' }
    },
  },
]
