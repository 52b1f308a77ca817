import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, errnoOf } from '../errors.ts'
import {
  type GroupLimits,
  type LimitedGroup,
  limitedGroupsIn,
  type MadeGroup,
  makeLimitedGroup,
  missingControllers,
  settingsOf,
  unlimited,
} from './limited-group.ts'
import { COMMAND_GROUPS, type CommandGroup } from './properties.ts'
import { splitGroup } from './split-group.ts'

/** Cgroups in each of those at a time: a small part of those that a freeze and a thaw look at (`MAX_GROUPS`). */
const MAX_INSIDE = 1024

/** A directory without others in it, as stat(2) counts its links. */
const OWN_LINKS = 2

interface LimitedGroupsOptions {
  readonly root: string
  /** Opens the directory anew that commands without limits go into (`placeIn`). */
  readonly replace: (name: CommandGroup) => Promise<unknown>
  /** See `Cgroups.recreate`. */
  readonly recreate: (name: CommandGroup, errno: string) => Promise<boolean>
}

interface LimitedGroups {
  /**
   * Makes one for a command, and lets its parent pass the controllers on. Rejects with AppError `failed_precondition`
   * that says what is missing, or `resource_exhausted` while there are `MAX_INSIDE`.
   */
  make(name: CommandGroup, limits: GroupLimits): Promise<MadeGroup>
  /** That of a command of an earlier daemon, once; undefined: it is gone. `LimitedGroup.removeOnceEmpty` is the taker's. */
  takeLeft(name: CommandGroup, group: string): LimitedGroup | undefined
  /** Removes what else earlier daemons have left, each once it is empty. */
  removeLeft(): void
  /** Whether commands go into a cgroup in that one, because it is split. */
  isSplit(name: CommandGroup): boolean
}

/** Those below the cgroups of commands. Never rejects. */
export async function openLimitedGroups({ root, replace, recreate }: LimitedGroupsOptions): Promise<LimitedGroups> {
  const split = new Set<CommandGroup>()
  const turns = new Map<CommandGroup, Promise<unknown>>()
  const left = new Map<string, LimitedGroup>()
  for (const name of COMMAND_GROUPS)
    for (const group of await limitedGroupsIn(join(root, name))) left.set(join(name, group.name), group)

  /** One at a time: two would move the same processes. */
  const inTurn = async <T>(name: CommandGroup, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(name) ?? Promise.resolve()).then(work)
    turns.set(
      name,
      turn.catch(() => {}),
    )
    return turn
  }

  const make = async (name: CommandGroup, limits: GroupLimits, recreated = false): Promise<MadeGroup> => {
    const parent = join(root, name)
    await checkRoom(parent)
    const settings = settingsOf(limits)
    const missing = await missingControllers(parent, settings)
    if (missing.length > 0) throw unlimited(`${parent} has no controller ${missing.join(', ')}`)
    const controllers = settings.map(({ controller }) => controller)
    const onPlace = async () => {
      split.add(name)
      await replace(name)
    }
    try {
      await inTurn(name, () => splitGroup(parent, controllers, onPlace))
      return await makeLimitedGroup(parent, settings)
    } catch (error) {
      if (error instanceof AppError) throw error
      const errno = errnoOf(error) ?? 'EIO'
      if (!recreated && (await recreate(name, errno))) return make(name, limits, true)
      throw unlimited(`${parent}: ${errno}`)
    }
  }
  return {
    make: (name, limits) => make(name, limits),
    takeLeft: (name, group) => {
      const taken = left.get(join(name, group))
      left.delete(join(name, group))
      return taken
    },
    removeLeft: () => {
      for (const group of left.values()) group.removeOnceEmpty()
      left.clear()
    },
    isSplit: (name) => split.has(name),
  }
}

async function checkRoom(parent: string): Promise<void> {
  const inside = await stat(parent).then(
    ({ nlink }) => nlink - OWN_LINKS,
    () => 0,
  )
  if (inside >= MAX_INSIDE) throw new AppError('resource_exhausted', `${parent} has ${inside} cgroups already`)
}
