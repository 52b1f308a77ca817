import { call, open, start } from '../../_util/rpc.ts'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { streamCall, unaryCall, unread } from './unread.ts'

/** Milliseconds of the daemon's processor time until health is answered (p95), as in services.ts. */
const MAX_BUSY = 75

/** Commands that begin and end while others look on. */
async function shortCommands(field: Field, count: number): Promise<void> {
  await allOf(scaled(count, field), 8, async (index) => {
    const stream = await start(field.daemon.url, '/bin/true', { stdin: false, tag: `short-${index}` })
    await stream.rest()
  })
}

/** A terminal whose program draws without end. */
async function noisyTerminal({ daemon, held }: Field): Promise<void> {
  const stream = await open(daemon.url, 'terminals.v1.Terminals/Open', {
    name: 'noisy',
    size: { columns: 200, rows: 100 },
    command: '/bin/sh',
    args: ['-c', 'while :; do head -c 20000 /dev/zero | tr "\\0" x; sleep 0.01; done'],
  })
  held.defer(async () => {
    stream.close()
    await call(daemon.url, 'terminals.v1.Terminals/Close', { terminal: { name: 'noisy' } })
  })
  void stream.rest().catch(() => {})
}

function followers(name: string, count: number, request: Buffer, happen?: (field: Field) => Promise<void>): Attack {
  return {
    name,
    maxBusy: MAX_BUSY,
    run: async (field) => {
      await allOf(scaled(count, field), 30, () => unread(field, request))
      await happen?.(field)
    },
  }
}

const NOISY = { terminal: { name: 'noisy' } }

export const followerAttacks: readonly Attack[] = [
  followers('streams of metrics that nobody reads', 5000, streamCall('metrics.Metrics/Watch', {})),
  followers('streams of jobs that nobody reads', 2000, streamCall('jobs.v1.Jobs/Watch', {}), (field) =>
    shortCommands(field, 300),
  ),
  followers('streams of activity that nobody reads', 2000, streamCall('activity.v1.Activity/Watch', {}), (field) =>
    shortCommands(field, 100),
  ),
  followers('streams of ports that nobody reads', 3000, streamCall('ports.Ports/Watch', {})),
  followers('streams of services that nobody reads', 3000, streamCall('supervisor.Supervisor/Watch', {})),
  followers('streams of the log that nobody reads', 2000, streamCall('logs.v1.Logs/Read', { follow: true }), (field) =>
    shortCommands(field, 200),
  ),
  {
    name: 'calls that wait for the end of a job',
    maxBusy: MAX_BUSY,
    run: async (field) => {
      const stream = await start(field.daemon.url, '/bin/sleep', { args: ['600'], tag: 'awaited', stdin: false })
      field.held.defer(async () => {
        stream.close()
        await call(field.daemon.url, 'jobs.v1.Jobs/Kill', { job: { tag: 'awaited' } })
      })
      const request = unaryCall('jobs.v1.Jobs/Wait', { job: { tag: 'awaited' }, tailBytes: 262_144 })
      await allOf(scaled(4000, field), 30, () => unread(field, request))
    },
  },
  {
    name: 'clients of a noisy terminal that read nothing',
    maxBusy: MAX_BUSY,
    run: async (field) => {
      await noisyTerminal(field)
      const request = streamCall('terminals.v1.Terminals/Attach', { ...NOISY, size: { columns: 200, rows: 100 } })
      await allOf(scaled(2000, field), 20, () => unread(field, request))
    },
  },
  {
    name: 'recordings of a noisy terminal that nobody reads',
    maxBusy: MAX_BUSY,
    run: async (field) => {
      await noisyTerminal(field)
      const request = streamCall('terminals.v1.Terminals/Record', NOISY)
      await allOf(scaled(1000, field), 20, () => unread(field, request))
    },
  },
  {
    name: 'terminals that are opened by the thousand',
    maxBusy: MAX_BUSY,
    run: async (field) => {
      const request = (index: number) =>
        streamCall('terminals.v1.Terminals/Open', { name: `t${index}`, command: '/bin/cat' })
      await allOf(scaled(1000, field), 20, (index) => unread(field, request(index)))
      field.held.defer(() =>
        allOf(scaled(1000, field), 8, (index) =>
          call(field.daemon.url, 'terminals.v1.Terminals/Close', { terminal: { name: `t${index}` } }),
        ),
      )
    },
  },
]
