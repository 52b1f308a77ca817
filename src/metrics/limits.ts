import { readFile } from 'node:fs/promises'
import { findLineages, type Lineage, type Sources } from './hierarchy.ts'

/** The limit of one cgroup. */
export interface Limit {
  readonly version: 1 | 2
  /** The directory of the cgroup that sets the limit and counts what falls under it. */
  readonly directory: string
  /** Bytes of memory, or CPUs, which need not be a whole number. */
  readonly amount: number
}

/** What cgroups leave to the daemon. Undefined: all that the machine has. */
interface Limits {
  readonly memory: Limit | undefined
  readonly cpu: Limit | undefined
}

/** Reads the limits that hold at the moment. Never rejects: what cannot be read sets no limit. */
export async function findLimits(sources: Sources): Promise<Limits> {
  const lineagesOf = await findLineages(sources)
  const [memory, cpu] = await Promise.all([
    narrowest(lineagesOf('memory'), memoryLimit),
    narrowest(lineagesOf('cpu'), cpuLimit),
  ])
  if (cpu?.version !== 1) return { memory, cpu }
  // Version 1 counts in a controller of its own, which as a rule is mounted together with the limiting one.
  const depth =
    lineagesOf('cpu')
      .find(({ version }) => version === 1)
      ?.directories.indexOf(cpu.directory) ?? -1
  const directory = lineagesOf('cpuacct').find(({ version }) => version === 1)?.directories[depth]
  return { memory, cpu: directory === undefined ? undefined : { ...cpu, directory } }
}

type ReadLimit = (directory: string, version: 1 | 2) => Promise<number | undefined>

/** A cgroup gets no more than each of those around it; of equal limits the outermost counts, as more shares it. */
async function narrowest(lineages: readonly Lineage[], read: ReadLimit): Promise<Limit | undefined> {
  for (const { version, directories } of lineages) {
    const amounts = await Promise.all(directories.map((directory) => read(directory, version)))
    const least = Math.min(...amounts.map((amount) => amount ?? Number.POSITIVE_INFINITY))
    const directory = directories[amounts.lastIndexOf(least)]
    if (directory !== undefined) return { version, directory, amount: least }
  }
  return undefined
}

async function memoryLimit(directory: string, version: 1 | 2): Promise<number | undefined> {
  return positive(await figure(`${directory}/${version === 2 ? 'memory.max' : 'memory.limit_in_bytes'}`))
}

async function cpuLimit(directory: string, version: 1 | 2): Promise<number | undefined> {
  const [quota, period] =
    version === 2
      ? ((await figure(`${directory}/cpu.max`))?.split(' ') ?? [])
      : await Promise.all([figure(`${directory}/cpu.cfs_quota_us`), figure(`${directory}/cpu.cfs_period_us`)])
  const microseconds = positive(quota)
  const of = positive(period)
  return microseconds === undefined || of === undefined ? undefined : microseconds / of
}

function figure(path: string): Promise<string | undefined> {
  return readFile(path, 'latin1')
    .then((text) => text.trim())
    .catch(() => undefined)
}

/** `max` and -1 are no limits. */
function positive(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) && Number(text) > 0 ? Number(text) : undefined
}
