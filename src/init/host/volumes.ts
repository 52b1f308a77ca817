import { mkdir } from 'node:fs/promises'
import { AppError, errnoOf } from '../../errors.ts'
import { cleanPath } from '../../lib/clean-path.ts'
import { errnoText } from '../../lib/errno-text.ts'
import { createLock } from '../../lib/lock.ts'
import { raceAbort } from '../../lib/race-abort.ts'
import type { Log } from '../../log.ts'
import type { HostCommands } from './commands.ts'

/** A directory of an NFS server and where it is to be seen. */
export interface VolumeMount {
  /** `server:/directory` */
  readonly nfsTarget: string
  /** Absolute. */
  readonly path: string
}

/** The network volumes of the sandbox. */
export interface Volumes {
  /** Throws as `mount` would for what is wrong with the request itself (contract F19): nothing was touched then. */
  check(mounts: readonly VolumeMount[]): void
  /**
   * Mounts all volumes that were not mounted for this lifecycle yet, together in at most 10 s, whatever becomes of the
   * client. Rejects with AppError `invalid_argument` (`failed to setup NFS volumes: …`); those that could be mounted
   * stay.
   */
  mount(mounts: readonly VolumeMount[], lifecycleId: string): Promise<void>
}

/** What it takes to mount. */
interface VolumesOptions {
  readonly commands: HostCommands
  readonly log: Log
  /** Ends what is being mounted. */
  readonly shutdown: AbortSignal
  /** Milliseconds for all volumes of a request together; default: 10,000. */
  readonly budget?: number
}

const BUDGET_MS = 10_000

/** For each way of unmounting: a server that is gone does not answer, and the rest of the budget is for mounting. */
const UNMOUNT_MS = 2_000

/** Far above what a sandbox of a platform has; each takes a process, and its path is remembered. */
const MAX_VOLUMES = 256

/** Paths whose lifecycle is remembered; one that was forgotten is only mounted anew. */
const MAX_REMEMBERED = 4 * MAX_VOLUMES

/** Characters of one error message. */
const MAX_MESSAGE = 8 * 1024

/** What the platform's volume servers need (contract F19). */
const MOUNT_OPTIONS =
  'fg,hard,sync,rsize=1048576,wsize=1048576,mountproto=tcp,mountport=2049,proto=tcp,port=2049,nfsvers=3,noacl,noac,lookupcache=none'

/** At first no volume is known. */
export function createVolumes({ commands, log, shutdown, budget = BUDGET_MS }: VolumesOptions): Volumes {
  const lock = createLock()
  /**
   * For which lifecycle a path was mounted; not there while it is being mounted, after a failure, or if another volume
   * hides it.
   */
  const mountedFor = new Map<string, string>()
  const mountAll = async (mounts: readonly VolumeMount[], lifecycleId: string): Promise<void> => {
    const all = toCleanMounts(mounts)
    const missing = all.filter(({ path }) => mountedFor.get(path) !== lifecycleId)
    const due = all.filter(({ path }) => missing.some((volume) => isWithin(path, volume.path)))
    const left = budgetOf(budget, shutdown)
    const results = await Promise.allSettled(
      inOrder(due, async (volume) => {
        for (const path of mountedFor.keys()) if (isWithin(path, volume.path)) mountedFor.delete(path)
        await mountVolume(volume, commands, left)
        mountedFor.set(volume.path, lifecycleId)
        for (const oldest of mountedFor.keys()) {
          if (mountedFor.size <= MAX_REMEMBERED) break
          mountedFor.delete(oldest)
        }
      }),
    )
    const problems = results.flatMap((result, index) =>
      result.status === 'fulfilled' ? [] : [`${due[index]?.path}: ${reasonOf(result.reason)}`],
    )
    log.debug({ volumes: mounts.length, mounted: due.length - problems.length, failed: problems.length }, 'NFS volumes')
    if (problems.length > 0) throw failure(problems.join('; '))
  }
  return {
    check: (mounts) => void toCleanMounts(mounts),
    mount: async (mounts, lifecycleId) => {
      const release = await lock.acquire(shutdown)
      await mountAll(mounts, lifecycleId).finally(release)
    },
  }
}

function isWithin(path: string, directory: string): boolean {
  return `${path}/`.startsWith(`${directory}/`)
}

/** All at once, but for a volume inside another one of them: the outer one would hide it. */
function inOrder(volumes: readonly VolumeMount[], mount: (volume: VolumeMount) => Promise<void>): Promise<void>[] {
  const started = new Map<string, Promise<void>>()
  const start = (volume: VolumeMount): Promise<void> => {
    const known = started.get(volume.path)
    if (known !== undefined) return known
    const outer = volumes.filter(({ path }) => path !== volume.path && isWithin(volume.path, path)).map(start)
    const mounting = Promise.allSettled(outer).then(() => mount(volume))
    started.set(volume.path, mounting)
    return mounting
  }
  return volumes.map(start)
}

/** With clean paths. Throws for what no tool is to be asked for. */
function toCleanMounts(mounts: readonly VolumeMount[]): VolumeMount[] {
  if (mounts.length > MAX_VOLUMES) throw failure(`${mounts.length} volumes, at most ${MAX_VOLUMES} are allowed`)
  const clean = mounts.map(({ nfsTarget, path }) => {
    if (!path.startsWith('/') || path.includes('\0') || path.split('/').includes('..') || cleanPath(path) === '/') {
      throw failure('path must be absolute, without "..", and not the root directory')
    }
    // mount(8) hands it on to mount.nfs(8), which knows no `--`.
    if (nfsTarget === '' || nfsTarget.startsWith('-') || nfsTarget.includes('\0'))
      throw failure('nfs_target is not valid')
    return { nfsTarget, path: cleanPath(path) }
  })
  if (new Set(clean.map(({ path }) => path)).size < clean.length) throw failure('two volumes have the same path')
  return clean
}

/** What is left of the time of a request. */
interface Budget {
  /** Whole milliseconds, at least 1, at most the given ones. Throws AppError `deadline_exceeded` if none is left. */
  readonly left: (most?: number) => number
  /** The daemon ends. */
  readonly shutdown: AbortSignal
}

function budgetOf(milliseconds: number, shutdown: AbortSignal): Budget {
  const due = performance.now() + milliseconds
  const left = (most = milliseconds) => {
    const now = performance.now()
    if (now >= due) throw new AppError('deadline_exceeded', 'not done in time')
    return Math.min(most, Math.ceil(due - now))
  }
  return { shutdown, left }
}

async function mountVolume({ nfsTarget, path }: VolumeMount, commands: HostCommands, budget: Budget): Promise<void> {
  if (await mayBeMounted(path, commands, budget)) await unmount(path, commands, budget)
  await makeDirectory(path, budget)
  const args = ['-v', '-t', 'nfs', '-o', MOUNT_OPTIONS, '--', nfsTarget, path]
  const { exitCode, output } = await commands.run('mount', args, { timeout: budget.left(), signal: budget.shutdown })
  if (exitCode === 0) return
  const how = exitCode === undefined ? 'ended by a signal' : `exit status ${exitCode}`
  throw new AppError('internal', `mount: ${how}: ${output}`)
}

/** Inside another network volume, whose server is gone, it may never end. */
async function makeDirectory(path: string, budget: Budget): Promise<void> {
  const late = AbortSignal.timeout(budget.left())
  const making = mkdir(path, { recursive: true, mode: 0o755 })
  await raceAbort(making, AbortSignal.any([late, budget.shutdown])).catch((error: unknown) => {
    if (late.aborted) throw new AppError('deadline_exceeded', 'mkdir: not done in time')
    throw error
  })
}

/** A mount point whose server is gone may leave findmnt(8) hanging, and so may a busy machine. */
async function mayBeMounted(path: string, commands: HostCommands, budget: Budget): Promise<boolean> {
  const limits = { timeout: budget.left(UNMOUNT_MS), signal: budget.shutdown }
  const args = ['--noheadings', '--output', 'TARGET', '--mountpoint', path]
  const end = await commands.run('findmnt', args, limits).catch(unlessOverdue)
  return end === undefined || end.exitCode === 0
}

/**
 * By force, or else lazily. Where neither is possible there was nothing (findmnt(8) lists mounts that a later one
 * hides), or it is left below the new mount, which hides it.
 */
async function unmount(path: string, commands: HostCommands, budget: Budget): Promise<void> {
  const umount = (how: string) => {
    const limits = { timeout: budget.left(UNMOUNT_MS), signal: budget.shutdown }
    return commands.run('umount', [how, '--', path], limits).catch(unlessOverdue)
  }
  const forced = await umount('--force')
  if (forced?.exitCode !== 0) await umount('--lazy')
}

function unlessOverdue(error: unknown): undefined {
  if (error instanceof AppError && error.kind === 'deadline_exceeded') return undefined
  throw error
}

function reasonOf(error: unknown): string {
  if (error instanceof AppError) return error.message
  const errno = errnoOf(error)
  return errno === undefined ? 'unknown error' : errnoText(errno)
}

function failure(reason: string): AppError {
  return new AppError('invalid_argument', `failed to setup NFS volumes: ${reason}`.slice(0, MAX_MESSAGE))
}
