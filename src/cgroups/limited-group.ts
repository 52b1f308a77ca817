import { type FSWatcher, watch } from 'node:fs'
import { mkdir, open, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { AppError, errnoOf } from '../errors.ts'
import { randomUuid } from '../native/random.ts'
import { childGroups, readEvents } from './freeze/group-files.ts'
import { words, writeProperty } from './make-group.ts'
import type { Property } from './properties.ts'
import { removeEmpty } from './service-group.ts'

/** What a cgroup of one command's own may take; undefined: as much as that above it. */
export interface GroupLimits {
  /** Bytes of memory of all its processes together. At the limit the kernel kills all of them. */
  readonly memoryMax?: number | undefined
  /** Processes and threads at a time, 1 or more; with more, fork(2) fails with EAGAIN. */
  readonly pidsMax?: number | undefined
  /** CPUs; a command that needs more CPU time waits for it. */
  readonly cpuMax?: number | undefined
}

/** What all processes of a cgroup have taken so far; undefined: its kernel does not report it. */
export interface GroupUsage {
  readonly cpuSeconds: number | undefined
  /** Bytes now. */
  readonly memory: number | undefined
  /** Bytes, at most at a time (`memory.peak`, Linux 5.19). */
  readonly peakMemory: number | undefined
  /** Processes that the kernel has killed for lack of memory, here or above. */
  readonly oomKills: number
  /** Times that the memory of this cgroup itself was spent. */
  readonly memoryHits: number
  /** Forks that were refused for its number of processes. */
  readonly pidsHits: number
}

/** The cgroup of one command. */
export interface LimitedGroup {
  /** Of its directory, in the one above: by it the next daemon finds it (`Cgroups.takeLimited`). */
  readonly name: string
  /** Of one that is gone: nothing. Never rejects. */
  usage(): Promise<GroupUsage>
  /** Removes it when its last process has ended, whenever that is. Never throws. */
  removeOnceEmpty(): void
}

/** One that was just made. It is the maker's to call `removeOnceEmpty`, also when nothing was started in it. */
export interface MadeGroup extends LimitedGroup {
  /** Descriptor of its directory, open until `close`. */
  readonly descriptor: number
  /** Closes the descriptor. */
  close(): Promise<void>
}

/** Distinguishes these cgroups from what others make there. */
const PREFIX = 'command.'

/** Of `cpu.max`, the kernel's own. */
const CPU_PERIOD_US = 100_000

/** Time between two looks at a cgroup that cannot be watched. */
const LOOK_MS = 2_000

interface Setting {
  readonly controller: string
  /** The first one must be there. */
  readonly properties: readonly [Property, ...Property[]]
}

/** The controllers that these limits belong to, each with what is to be written. */
export function settingsOf({ memoryMax, pidsMax, cpuMax }: GroupLimits): readonly Setting[] {
  const settings: Setting[] = []
  if (memoryMax !== undefined) {
    const all: Property[] = [
      // Else swap would let a command have more.
      ['memory.swap.max', '0'],
      // All of the command ends, not whichever process was largest.
      ['memory.oom.group', '1'],
    ]
    settings.push({ controller: 'memory', properties: [['memory.max', String(memoryMax)], ...all] })
  }
  if (pidsMax !== undefined) settings.push({ controller: 'pids', properties: [['pids.max', String(pidsMax)]] })
  if (cpuMax !== undefined) {
    const quota = `${Math.round(cpuMax * CPU_PERIOD_US)} ${CPU_PERIOD_US}`
    settings.push({ controller: 'cpu', properties: [['cpu.max', quota]] })
  }
  return settings
}

/**
 * Makes a cgroup with limits below `parent`, which passes their controllers on. Rejects with the errno, and leaves
 * nothing then.
 */
export async function makeLimitedGroup(parent: string, settings: readonly Setting[]): Promise<MadeGroup> {
  const directory = join(parent, PREFIX + randomUuid())
  await mkdir(directory)
  try {
    for (const { properties } of settings) {
      const [needed, ...others] = properties
      await writeProperty(directory, needed)
      for (const property of others) await writeProperty(directory, property).catch(() => {})
    }
    const handle = await open(directory, 'r')
    return { ...limitedGroup(directory), descriptor: handle.fd, close: () => handle.close() }
  } catch (error) {
    await removeEmpty(directory)
    throw error
  }
}

/** The cgroups of commands that are below `parent`, those of earlier daemons as well. Never rejects. */
export async function limitedGroupsIn(parent: string): Promise<LimitedGroup[]> {
  const names = await childGroups(parent).catch(() => [])
  return names.filter((name) => name.startsWith(PREFIX)).map((name) => limitedGroup(join(parent, name)))
}

/** The controllers of limits that `directory` has. Never rejects. */
export async function limitingControllers(directory: string): Promise<string[]> {
  const there = await words(directory, 'cgroup.controllers')
  return ['memory', 'pids', 'cpu'].filter((name) => there.includes(name))
}

/** Says which of the controllers of these settings `directory` lacks. Never rejects. */
export async function missingControllers(directory: string, settings: readonly Setting[]): Promise<string[]> {
  const there = await words(directory, 'cgroup.controllers')
  return settings.map(({ controller }) => controller).filter((name) => !there.includes(name))
}

/** The error of limits that cannot be had. */
export function unlimited(why: string): AppError {
  return new AppError('failed_precondition', `limits of a command need a cgroup of its own: ${why}`)
}

function limitedGroup(directory: string): LimitedGroup {
  return {
    name: basename(directory),
    usage: () => usageOf(directory),
    removeOnceEmpty: () => removeOnceEmpty(directory),
  }
}

async function usageOf(directory: string): Promise<GroupUsage> {
  const read = (file: string) => readFile(join(directory, file), 'latin1').catch(() => '')
  const files = ['cpu.stat', 'memory.current', 'memory.peak', 'memory.events', 'memory.events.local', 'pids.events']
  const [cpu = '', current = '', peak = '', events = '', local = '', pids = ''] = await Promise.all(files.map(read))
  const microseconds = figure(cpu, 'usage_usec')
  return {
    cpuSeconds: microseconds === undefined ? undefined : microseconds / 1e6,
    memory: wholeNumber(current),
    peakMemory: wholeNumber(peak),
    oomKills: figure(events, 'oom_kill') ?? 0,
    memoryHits: figure(local, 'oom') ?? 0,
    pidsHits: figure(pids, 'max') ?? 0,
  }
}

function wholeNumber(text: string): number | undefined {
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined
}

function figure(text: string, name: string): number | undefined {
  const digits = new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** The kernel reports a change of `cgroup.events` as IN_MODIFY (cgroups(7)). */
function removeOnceEmpty(directory: string): void {
  let watcher: FSWatcher | undefined
  const look = async () => {
    const events = await readEvents(directory).catch(() => undefined)
    if (events?.populated === true) return
    watcher?.close()
    clearInterval(timer)
    await removeEmpty(directory)
  }
  const lookAgain = () => void look()
  let timer: NodeJS.Timeout | undefined
  const poll = () => {
    timer ??= setInterval(lookAgain, LOOK_MS).unref()
  }
  try {
    watcher = watch(join(directory, 'cgroup.events'), { persistent: false }, lookAgain)
    watcher.on('error', poll)
  } catch (error) {
    // Without it the cgroup is gone already; else watches have run out.
    if (errnoOf(error) !== 'ENOENT') poll()
  }
  lookAgain()
}
