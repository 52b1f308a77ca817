import { setTimeout as delay } from 'node:timers/promises'
import { sendWhole } from '../../_util/http.ts'
import { open, pidOf, start } from '../../_util/rpc.ts'
import { check, type Field, ok, type Traffic, until } from '../field.ts'

interface JobEvent {
  readonly watching?: object
  readonly started?: { readonly tag?: string }
  readonly ended?: { readonly tag?: string }
}

async function jobs(field: Field, tag: string): Promise<void> {
  const { url } = field
  const watch = await open<JobEvent>(url, 'jobs.v1.Jobs/Watch', { filter: { tag } })
  await until(watch, ({ watching }) => watching !== undefined)
  const stream = await start(url, 'sh', { args: ['-c', `echo ${tag}; exit 4`], tag })
  const pid = await pidOf(stream)
  const waiting = { job: { pid }, timeoutMs: 30_000, tailBytes: 100 }
  const waited = await ok<{ job: { exitCode?: number }; stdout?: string }>(field, 'jobs.v1.Jobs/Wait', waiting)
  check(waited.job.exitCode === 4, 'wait', waited)
  check(Buffer.from(waited.stdout ?? '', 'base64').toString() === `${tag}\n`, 'tail', waited)
  await until(watch, ({ started }) => started?.tag === tag)
  await until(watch, ({ ended }) => ended?.tag === tag)
  watch.close()
  await stream.rest()
}

async function killed(field: Field, tag: string): Promise<void> {
  const stream = await start(field.url, 'sleep', { args: ['20'], tag })
  const pid = await pidOf(stream)
  const { jobs = [] } = await ok<{ jobs?: { pid: number }[] }>(field, 'jobs.v1.Jobs/List', { filter: { tag } })
  check(
    jobs.some((job) => job.pid === pid),
    'list',
    jobs,
  )
  await ok(field, 'jobs.v1.Jobs/Kill', { job: { pid }, signal: 'SIGNAL_SIGKILL' })
  const { messages } = await stream.rest()
  check(messages.at(-1)?.event.end?.status === 'signal: killed', 'kill', messages.at(-1))
}

async function figures(field: Field): Promise<void> {
  const { sample } = await ok<{ sample: { cpuCount: number } }>(field, 'metrics.Metrics/Get', {})
  check(sample.cpuCount > 0, 'metrics', sample)
  for (const query of ['', '?format=openmetrics']) {
    const { status, text } = await sendWhole(`${field.url}/metrics${query}`)
    check(status === 200 && text.length > 50, 'metrics', text)
  }
}

/** The first message of a stream, and then the client leaves. */
function glance(name: string, method: string, request: object): Traffic {
  return {
    name,
    async run({ url, random }) {
      const stream = await open<object>(url, method, request)
      check(stream.status === 200, method, stream.status)
      await stream.next()
      await delay(random.int(1500))
      stream.close()
    },
  }
}

async function plainRoutes({ url }: Field): Promise<void> {
  for (const [path, wanted] of Object.entries({
    '/health': 204,
    '/envs': 200,
    '/capabilities': 200,
    '/nothing': 404,
  })) {
    const { status } = await sendWhole(`${url}${path}`)
    check(status === wanted, path, status)
  }
}

/** Jobs, figures, activity, the log and what else the daemon reports. */
export const SERVICES: readonly Traffic[] = [
  { name: 'a job that is watched and waited for', run: jobs },
  { name: 'a job that is killed', run: killed },
  { name: 'metrics', run: figures },
  glance('a watch of metrics', 'metrics.Metrics/Watch', {}),
  glance('a watch of activity', 'activity.v1.Activity/Watch', {}),
  glance('the log, followed', 'logs.v1.Logs/Read', { follow: true }),
  glance('a watch of ports', 'ports.Ports/Watch', {}),
  { name: 'plain routes', run: plainRoutes },
]
