import { constants as fs } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { constants } from 'node:os'
import { AppError } from '../errors.ts'
import { statOf } from '../lib/proc-pid.ts'
import { close, duplicate, pidfdOpen } from '../native/index.ts'
import { aboutOf } from './known-process.ts'
import type { LaunchDeps } from './launch.ts'
import type { Launched } from './launched.ts'
import { OutputLog, type StreamName } from './output-log.ts'
import type { ProcessConfig } from './process.ts'

/** The leader of a session that an earlier daemon started, and how it is to show. */
export interface AdoptRequest {
  readonly pid: number
  /** See `startTimeOf`. */
  readonly startTime: string
  /** Inodes of the pipes that its stdout and stderr were. */
  readonly pipes: readonly (bigint | undefined)[]
  readonly config: ProcessConfig
  readonly tag: string
}

const { EMFILE, ENFILE, ENOMEM } = constants.errno

/** Errors after which it is not known whether a process is there. */
const EXHAUSTION: ReadonlySet<number> = new Set([EMFILE, ENFILE, ENOMEM])

const STREAMS: readonly StreamName[] = ['stdout', 'stderr']

/**
 * Takes over a process that another daemon started: its output from now on, if its stdout and stderr are still those
 * pipes, and no input. Resolves with undefined if the process is gone. Rejects if that cannot be found out for lack of
 * descriptors or memory.
 */
export async function adopt(
  { pid, startTime, pipes, config, tag }: AdoptRequest,
  { window, pool, readerStall }: Pick<LaunchDeps, 'window' | 'pool' | 'readerStall'>,
): Promise<Launched | undefined> {
  const pidfd = pidfdOpen(pid)
  if (EXHAUSTION.has(-pidfd)) throw new AppError('resource_exhausted', `process ${pid} cannot be looked at`)
  if (pidfd < 0) return undefined
  // The descriptor keeps naming the process that it was opened for, so it is looked at after that.
  const found = await statOf(pid, 'strict').catch((error: unknown) => {
    close(pidfd)
    throw error
  })
  if (found?.startTime !== startTime) {
    close(pidfd)
    return undefined
  }
  const opened = await Promise.all(STREAMS.map((_, index) => openPipe(`/proc/${pid}/fd/${index + 1}`, pipes[index])))
  const sources = STREAMS.flatMap((stream, index) => {
    const fd = opened[index]
    return fd === undefined ? [] : [{ fd, stream }]
  })
  const output = new OutputLog({ share: window.share(), pool, stall: readerStall })
  const plain = { input: undefined, terminal: undefined }
  const about = aboutOf({ config, key: undefined, terminal: undefined }, { user: '', cwd: config.cwd ?? '' })
  return { pid, pidfd, config, tag, about, replay: true, adopted: true, output, pool, sources, ...plain }
}

/** Opens the pipe at a path for reading; undefined if it is not the one with that inode. */
async function openPipe(path: string, inode: bigint | undefined): Promise<number | undefined> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, fs.O_RDONLY | fs.O_NONBLOCK)
    const found = await handle.stat({ bigint: true })
    if (!found.isFIFO() || found.ino !== inode) return undefined
    return duplicate(handle.fd)
  } catch {
    return undefined
  } finally {
    await handle?.close()
  }
}
