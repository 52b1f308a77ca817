import { setTimeout as delay } from 'node:timers/promises'
import type { Daemon } from '../_util/daemon.ts'
import { call } from '../_util/rpc.ts'
import { draw } from './draw.ts'
import { clientsOf, type Figures, familyOf, figuresOf, leftIn } from './measure.ts'
import { type Growth, growthOf, LIMITS } from './slope.ts'

/** What the daemon, its keeper and all around them held at one moment. */
export interface Sample {
  readonly seconds: number
  /** Of the daemon: changes when it is exchanged. */
  readonly pid: number
  readonly daemon: Figures
  readonly keeper: Figures
  readonly all: Figures
}

/** Takes one. */
export async function sampleOf(daemon: Daemon, dir: string, seconds = 0): Promise<Sample> {
  const pid = daemon.pid
  return {
    seconds,
    pid,
    daemon: figuresOf(pid),
    keeper: figuresOf(daemon.launched),
    all: {
      ...familyOf(daemon.launched),
      ...leftIn(dir),
      jobs: await jobsOf(daemon.url),
      clients: clientsOf(daemon.port),
    },
  }
}

/** Jobs that the daemon knows, running and kept; not a number where it gives no answer. */
async function jobsOf(url: string): Promise<number> {
  try {
    const { status, body } = await call(url, 'jobs.v1.Jobs/List', {})
    // The shape that the wire schema gives; an empty list is left out.
    return status === 200 ? ((body as { jobs?: object[] }).jobs ?? []).length : Number.NaN
  } catch {
    return Number.NaN
  }
}

/** Takes samples until it is over. */
export async function sampling(daemon: Daemon, dir: string, everyMs: number, over: AbortSignal): Promise<Sample[]> {
  const samples: Sample[] = []
  const begun = performance.now()
  while (!over.aborted) {
    samples.push(await sampleOf(daemon, dir, (performance.now() - begun) / 1000))
    await delay(everyMs, undefined, { signal: over }).catch(() => {})
  }
  return samples
}

/** The growth of each figure: those of the daemon since it was last exchanged, all others over the whole run. */
export function judged(samples: readonly Sample[]): (Growth & { readonly of: string })[] {
  const last = samples.findLast(({ pid }) => !Number.isNaN(pid))?.pid
  const life = samples.filter(({ pid }) => pid === last)
  return [
    ...growthOf(
      life.map(({ seconds, daemon }) => ({ seconds, figures: daemon })),
      LIMITS.daemon,
    ).map(of('daemon')),
    ...growthOf(
      samples.map(({ seconds, keeper }) => ({ seconds, figures: keeper })),
      LIMITS.keeper,
    ).map(of('keeper')),
    ...growthOf(
      samples.map(({ seconds, all }) => ({ seconds, figures: all })),
      LIMITS.all,
    ).map(of('all')),
  ]
}

function of(whose: string) {
  return (growth: Growth) => ({ of: whose, ...growth })
}

/** The curves of a run, by name of file. */
export function drawn(samples: readonly Sample[]): Readonly<Record<string, string>> {
  const curve = (of: 'daemon' | 'keeper' | 'all', figure: string, colour: string) => ({
    name: of === 'all' ? figure : `${of}, ${figure}`,
    colour,
    points: samples.flatMap((sample) => {
      const value = sample[of][figure]
      return value === undefined || Number.isNaN(value) ? [] : [{ seconds: sample.seconds, value }]
    }),
  })
  return {
    'soak-memory.svg': draw('MiB of memory', [
      curve('daemon', 'resident', '#c33'),
      curve('daemon', 'anonymous', '#36c'),
    ]),
    'soak-open.svg': draw('open descriptors', [
      curve('daemon', 'descriptors', '#c33'),
      curve('keeper', 'descriptors', '#36c'),
    ]),
    'soak-kept.svg': draw('jobs and watches', [curve('all', 'jobs', '#c33'), curve('daemon', 'watches', '#36c')]),
  }
}
