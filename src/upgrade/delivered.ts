import { createHash } from 'node:crypto'
import { constants, copyFile, link, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { AppError } from '../errors.ts'
import { startTimeOf } from '../lib/proc-pid.ts'
import { pump } from '../lib/pump.ts'

/** Where what was delivered is put, and where it is run from. */
export interface Places {
  /** The file that an orchestrator knows (contract A13, I3). */
  readonly file: string
  /**
   * Holds a directory for each delivery, and nothing else. Its name begins with the keeper that it is for, by pid and
   * start time: what that one does not run from, and what is of none that lives, is removed.
   */
  readonly store: string
  /** Pid of the keeper. */
  readonly keeper: number
}

/** Unpacks a compressed archive of a bundle into a directory that is made. */
export type UnpackBundle = (file: string, directory: string, signal: AbortSignal) => Promise<void>

interface Delivery {
  readonly places: Places
  readonly unpack: UnpackBundle
  readonly idleMs: number
  /** SHA-256 of the body in lower-case hexadecimal digits; undefined: it is not checked. */
  readonly digest: string | undefined
  readonly signal: AbortSignal
}

/** Bytes of a program or a bundle. */
const MAX_BYTES = 512 * 1024 * 1024
const PROGRAM_MODE = 0o755
const GZIP = Buffer.from([0x1f, 0x8b])

/**
 * Stores a program, or the compressed archive of a bundle, and resolves with the directory that it can be run from: one
 * of its own, so that what runs stays as it is. Rejects with AppError or the system error, and leaves nothing then.
 */
export async function deliver(body: Readable, delivery: Delivery): Promise<string> {
  const { places, unpack, signal } = delivery
  await rm(places.file, { force: true })
  const directory = join(places.store, `${await ownerOf(places)}-${Date.now().toString(36)}`)
  try {
    const beginning = await store(body, delivery)
    await mkdir(places.store, { recursive: true })
    if (beginning.equals(GZIP)) {
      await unpack(places.file, directory, signal)
      await rm(places.file)
    } else {
      await mkdir(directory)
      await linkOrCopy(places.file, join(directory, 'envd'))
    }
    return directory
  } catch (error) {
    await rm(places.file, { force: true })
    await rm(directory, { recursive: true, force: true })
    throw error
  }
}

/**
 * Removes what earlier deliveries have left in the store, but what a program is run from, and what is of another keeper
 * that lives. Never rejects.
 */
export async function removeOthers(places: Places, program: string): Promise<void> {
  const names = await readdir(places.store).catch(() => [])
  const owner = await ownerOf(places)
  const remove = async (name: string) => {
    const path = join(places.store, name)
    if (program.startsWith(`${path}/`) || (!name.startsWith(`${owner}-`) && (await isOfOther(name)))) return
    await rm(path, { recursive: true, force: true })
  }
  // What cannot be removed stays until the next upgrade.
  await Promise.all(names.map((name) => remove(name).catch(() => {})))
}

async function ownerOf({ keeper }: Places): Promise<string> {
  return `${keeper}.${(await startTimeOf(keeper)) ?? 0}`
}

/** Whether a delivery is of a keeper that lives. */
async function isOfOther(name: string): Promise<boolean> {
  const [, pid, started] = /^(\d+)\.(\d+)-/.exec(name) ?? []
  return started !== undefined && (await startTimeOf(Number(pid))) === started
}

async function store(body: Readable, { places, idleMs, digest, signal }: Delivery): Promise<Buffer> {
  const file = await open(places.file, 'wx', PROGRAM_MODE)
  const hash = createHash('sha256')
  let beginning = Buffer.alloc(0)
  let size = 0
  try {
    const write = async (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_BYTES) throw new AppError('too_large', `a program has at most ${MAX_BYTES} bytes`)
      if (beginning.length < GZIP.length)
        beginning = Buffer.concat([beginning, chunk.subarray(0, GZIP.length)]).subarray(0, GZIP.length)
      hash.update(chunk)
      await file.writeFile(chunk)
    }
    await pump(body, { write, end: () => file.chmod(PROGRAM_MODE) }, { idleMs, signal })
  } finally {
    await file.close()
  }
  if (digest !== undefined && hash.digest('hex') !== digest)
    throw new AppError('invalid_argument', 'the body has another SHA-256')
  return beginning
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to, constants.COPYFILE_FICLONE))
}
