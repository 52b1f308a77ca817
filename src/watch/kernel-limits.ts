import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import type { Log } from '../log.ts'

/** Where the kernel has the limits of inotify(7). */
export const INOTIFY_LIMITS = '/proc/sys/fs/inotify'

/**
 * Events that may wait in an instance, and directories that a user may watch. The kernel's own 16,384 events are one
 * `git clone`. Neither takes memory before it is used.
 */
const WANTED: Readonly<Record<string, number>> = { max_queued_events: 1_048_576, max_user_watches: 1_048_576 }

/**
 * Raises the kernel's limits where that is allowed; never lowers one. Never rejects: what is refused is logged at debug
 * level. An instance has the queue that was set when it was opened.
 * @param directory of the files with the limits, each a number.
 */
export async function raiseKernelLimits(directory: string, log: Log): Promise<void> {
  await Promise.all(Object.entries(WANTED).map(([name, wanted]) => raise(join(directory, name), wanted, log)))
}

async function raise(path: string, wanted: number, log: Log): Promise<void> {
  try {
    await using file = await open(path, 'r+')
    const present = Number(await file.readFile('latin1'))
    // Negated, so that a file that does not hold a number is left alone.
    if (!(present < wanted)) return
    await file.write(`${wanted}\n`, 0)
    log.debug({ path, from: present, to: wanted }, 'raised a kernel limit')
  } catch (error) {
    log.debug({ path, errno: errnoOf(error) }, 'a kernel limit cannot be raised')
  }
}
