import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { setTimeout as delay } from 'node:timers/promises'
import { call, enveloped, open, pidOf, start } from '../../_util/rpc.ts'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { streamCall, unaryCall, unread } from './unread.ts'

/** Milliseconds of the daemon's processor time until health is answered (p95), as in services.ts. */
const MAX_BUSY = 75

/** Until the last of the waiting calls has come. */
const ARRIVAL_MS = 1000

/** When calls that are made with a limit of time are over, from the first of them on. */
const DUE_MS = 5000

/** A command that says nothing until it is killed. */
async function quiet({ daemon, held }: Field): Promise<number> {
  const stream = await start(daemon.url, '/bin/sleep', { args: ['1000'], stdin: false })
  const pid = await pidOf(stream)
  void stream.rest().catch(() => {})
  held.defer(async () => {
    stream.close()
    await end(daemon.url, pid)
  })
  return pid
}

async function end(url: string, pid: number): Promise<void> {
  await call(url, 'process.Process/SendSignal', { process: { pid }, signal: 'SIGNAL_SIGKILL' })
}

/** A terminal whose program says nothing. */
async function terminal({ daemon, held }: Field, name: string): Promise<void> {
  const stream = await open(daemon.url, 'terminals.v1.Terminals/Open', { name, command: '/bin/sleep', args: ['1000'] })
  held.defer(() => stream.close())
  void stream.rest().catch(() => {})
}

interface Event {
  /** Waits for it. */
  readonly request: Buffer
  happen(): Promise<unknown>
}

/** So many clients wait for one event, then it happens. */
function waiters(name: string, count: number, prepare: (field: Field) => Promise<Event>): Attack {
  return {
    name,
    maxBusy: MAX_BUSY,
    run: async (field) => {
      const { request, happen } = await prepare(field)
      await allOf(scaled(count, field), 30, () => unread(field, request))
      await delay(ARRIVAL_MS)
      await happen()
    },
  }
}

/** So many calls whose time is over at the same moment. @param request of one that has so many milliseconds left */
function overTogether(name: string, count: number, request: (pid: number, milliseconds: number) => Buffer): Attack {
  return {
    name,
    maxBusy: MAX_BUSY,
    run: async (field) => {
      const pid = await quiet(field)
      const due = performance.now() + DUE_MS
      const left = () => Math.max(1, Math.round(due - performance.now()))
      await allOf(scaled(count, field), 30, () => unread(field, request(pid, left())))
      await delay(left())
    },
  }
}

/** Adds a deadline to a request. */
function due(request: Buffer, milliseconds: number): Buffer {
  const text = request.toString('latin1').replace('\r\n', `\r\nConnect-Timeout-Ms: ${milliseconds}\r\n`)
  return Buffer.from(text, 'latin1')
}

const connectTo = (pid: number) => streamCall('process.Process/Connect', { process: { pid } })

export const endings: readonly Attack[] = [
  waiters('calls that wait for one end', 2000, async (field) => {
    const pid = await quiet(field)
    return { request: unaryCall('jobs.v1.Jobs/Wait', { job: { pid } }), happen: () => end(field.daemon.url, pid) }
  }),
  waiters('readers of a command that ends', 2000, async (field) => {
    const pid = await quiet(field)
    return { request: connectTo(pid), happen: () => end(field.daemon.url, pid) }
  }),
  waiters('watches of a directory that goes', 1500, async (field) => {
    const path = `${field.directory}/gone`
    await call(field.daemon.url, 'filesystem.Filesystem/MakeDir', { path })
    const request = streamCall('filesystem.Filesystem/WatchDir', { path })
    return { request, happen: () => rm(path, { recursive: true }) }
  }),
  waiters('clients of a terminal that closes', 1000, async (field) => {
    const name = { terminal: { name: 'shared' } }
    await terminal(field, name.terminal.name)
    const request = streamCall('terminals.v1.Terminals/Attach', { ...name, size: { columns: 80, rows: 24 } })
    return { request, happen: () => call(field.daemon.url, 'terminals.v1.Terminals/Close', name) }
  }),
  {
    name: 'readers over HTTP/2 of a command that ends',
    maxBusy: MAX_BUSY,
    run: async (field) => {
      const pid = await quiet(field)
      const headers = {
        ':method': 'POST',
        ':path': '/process.Process/Connect',
        'content-type': 'application/connect+json',
      }
      const body = enveloped(Buffer.from(JSON.stringify({ process: { pid } })))
      await allOf(scaled(8, field), 1, async () => {
        const session = connectHttp2(field.daemon.url)
        session.on('error', () => {})
        field.held.defer(() => session.destroy())
        await once(session, 'remoteSettings')
        for (let stream = 0; stream < 450; stream++)
          session
            .request(headers)
            .on('error', () => {})
            .resume()
            .end(body)
      })
      await delay(ARRIVAL_MS)
      await end(field.daemon.url, pid)
    },
  },
  overTogether('calls whose waits are over together', 2000, (pid, milliseconds) =>
    unaryCall('jobs.v1.Jobs/Wait', { job: { pid }, timeoutMs: milliseconds }),
  ),
  overTogether('calls whose deadlines fall due together', 2000, (pid, milliseconds) =>
    due(unaryCall('jobs.v1.Jobs/Wait', { job: { pid } }), milliseconds),
  ),
  overTogether('streams whose deadlines fall due together', 2000, (pid, milliseconds) =>
    due(connectTo(pid), milliseconds),
  ),
]
