import { constants } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import { bootId } from '../lib/boot-id.ts'
import { startTimeOf } from '../lib/proc-pid.ts'
import { replaceFile } from '../lib/replace-file.ts'
import type { Log } from '../log.ts'

/** A process, named for good. */
interface ProcessName {
  readonly pid: number
  /** See `startTimeOf`. */
  readonly startTime: string
}

/** What a daemon keeps of a start command for the one after it. */
export interface LeaderRecord {
  readonly leader: ProcessName
  /** Inodes of the pipes that its stdout and stderr are. */
  readonly pipes: readonly (bigint | undefined)[]
  /** See `Command.marker`. */
  readonly marker: string
  /** What it was started with: another value is another command. */
  readonly fingerprint: string
}

/** The record of one start command. */
export interface RecordFile {
  /** What a daemon that is gone has written; 'nothing' also while that daemon lives. Rejects when it cannot be read. */
  read(): Promise<LeaderRecord | 'nothing'>
  /** Writes it in the background, after what is being written; a failure is logged. */
  write(record: LeaderRecord): void
}

/** Bytes that are read of a record; a real one has a tenth of that. */
const MAX_BYTES = 4_096

/** A record of this form only is understood. */
const VERSION = 1

/**
 * The record of the start command of that name in the run directory: `NAME.service.json`, for the daemon's own user
 * alone.
 */
export function recordFile(dir: string, name: string, log: Log): RecordFile {
  const path = join(dir, `${name}.service.json`)
  let writing = Promise.resolve()
  return {
    async read() {
      const text = await readOwn(path)
      return (text === undefined ? undefined : await leftBehind(text)) ?? 'nothing'
    },
    write(record) {
      writing = writing
        .then(() => save(dir, path, record))
        .catch((error) =>
          log.warn({ dir, errno: errnoOf(error) }, 'the record of a start command could not be written'),
        )
    },
  }
}

/** The text of a small regular file that only this user may write. */
async function readOwn(path: string): Promise<string | undefined> {
  // Without waiting for what is no file.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW).catch((error) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return undefined
  try {
    const stats = await file.stat()
    const { uid, mode, size } = stats
    const ours = stats.isFile() && uid === process.geteuid?.() && (mode & 0o022) === 0
    return ours && size <= MAX_BYTES ? await file.readFile('utf8') : undefined
  } finally {
    await file.close()
  }
}

async function leftBehind(text: string): Promise<LeaderRecord | undefined> {
  const { version, boot, daemon, leader, pipes, marker, fingerprint } = parsed(text)
  if (
    version !== VERSION ||
    typeof fingerprint !== 'string' ||
    typeof marker !== 'string' ||
    marker === '' ||
    boot !== bootId()
  )
    return undefined
  const [by, of] = [processName(daemon), processName(leader)]
  if (by === undefined || of === undefined) return undefined
  const livesElsewhere = by.pid !== process.pid && (await startTimeOf(by.pid)) === by.startTime
  if (livesElsewhere) return undefined
  return { leader: of, pipes: Array.isArray(pipes) ? pipes.map(inode) : [], marker, fingerprint }
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

function processName(value: unknown): ProcessName | undefined {
  if (typeof value !== 'object' || value === null || !('pid' in value) || !('startTime' in value)) return undefined
  const { pid, startTime } = value
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0 || pid >= 2 ** 31) return undefined
  return typeof startTime === 'string' ? { pid, startTime } : undefined
}

function inode(value: unknown): bigint | undefined {
  return typeof value === 'string' && /^\d{1,20}$/.test(value) ? BigInt(value) : undefined
}

async function save(dir: string, path: string, { leader, pipes, marker, fingerprint }: LeaderRecord): Promise<void> {
  const daemon = { pid: process.pid, startTime: await startTimeOf(process.pid) }
  const inodes = pipes.map((pipe) => pipe?.toString() ?? null)
  const record = { version: VERSION, boot: bootId(), daemon, leader, pipes: inodes, marker, fingerprint }
  await mkdir(dir, { recursive: true })
  await replaceFile(path, JSON.stringify(record), { mode: 0o600 })
}
