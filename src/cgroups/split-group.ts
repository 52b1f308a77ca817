import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errnoOf } from '../errors.ts'
import { childGroups } from './freeze/group-files.ts'
import { words, writeProperty } from './make-group.ts'

/** The cgroup in a split one where processes without limits of their own are. */
const REST = 'rest'

/** Processes that fork are listed again until none is left; each time most of them move. */
const MAX_ROUNDS = 100
const PAUSE_MS = 5

/**
 * The directory that commands without limits go into: that of the cgroup, or once it is split one below it. Never
 * rejects.
 */
export async function placeIn(directory: string): Promise<string> {
  const names = await childGroups(directory).catch((): string[] => [])
  return names.includes(REST) ? join(directory, REST) : directory
}

/**
 * Makes a cgroup pass controllers on, so that cgroups below it can have limits. One with processes of its own cannot
 * (cgroups(7)), so they move into a cgroup beside those, `rest`. What they use stays counted in `directory` as well.
 * Rejects with the errno; with EBUSY when processes come faster than they can be moved, or belong to another pid
 * namespace.
 * @param onPlace is called when `rest` is there, before anything moves: starts go there from then on.
 */
export async function splitGroup(
  directory: string,
  controllers: readonly string[],
  onPlace: () => Promise<void>,
): Promise<void> {
  const enabled = await words(directory, 'cgroup.subtree_control')
  const wanted = controllers.filter((name) => !enabled.includes(name))
  if (wanted.length === 0) return
  const rest = join(directory, REST)
  await mkdir(rest).catch((error) => {
    if (errnoOf(error) !== 'EEXIST') throw error
  })
  await onPlace()
  for (const name of wanted) await enable(directory, name, rest)
}

async function enable(directory: string, controller: string, rest: string): Promise<void> {
  for (let round = 1; ; round++) {
    await moveProcesses(directory, rest)
    try {
      return await writeProperty(directory, ['cgroup.subtree_control', `+${controller}`])
    } catch (error) {
      if (errnoOf(error) !== 'EBUSY' || round === MAX_ROUNDS) throw error
    }
    await delay(PAUSE_MS, undefined, { ref: false })
  }
}

async function moveProcesses(from: string, to: string): Promise<void> {
  const pids = (await readFile(join(from, 'cgroup.procs'), 'latin1')).split('\n')
  for (const pid of pids) {
    // 0 stands for a process of another pid namespace. One that has ended meanwhile is no error.
    if (pid !== '' && pid !== '0') await writeProperty(to, ['cgroup.procs', pid]).catch(() => {})
  }
}
