import { join } from 'node:path'
import { COMMAND_GROUPS, type CommandGroup } from '../properties.ts'
import { type GroupState, openGroupState } from './group-state.ts'

/** Reads of each group of commands whether it lets processes run (`GroupState.read`). */
interface GroupStates {
  /** Of a group that was removed and made anew: `unknown` at first, until it was opened again. */
  read(group: CommandGroup): ReturnType<GroupState['read']>
  /** Closes the descriptors; from then on all is `unknown`. Idempotent. */
  close(): void
}

/** Where there are no cgroups. */
export const NO_STATES: GroupStates = { read: () => 'unknown', close: () => {} }

/** Opens the groups of commands below `root`, those that are there. Never rejects. */
export async function openGroupStates(root: string): Promise<GroupStates> {
  const states = new Map<CommandGroup, GroupState>()
  const opening = new Set<CommandGroup>()
  let closed = false
  const openState = async (group: CommandGroup) => {
    if (closed || opening.has(group)) return
    opening.add(group)
    const state = await openGroupState(join(root, group))
    opening.delete(group)
    states.get(group)?.close()
    if (state !== undefined) states.set(group, state)
    if (closed) state?.close()
  }
  await Promise.all(COMMAND_GROUPS.map(openState))
  return {
    read: (group) => {
      const state = states.get(group)?.read() ?? 'unknown'
      if (state === 'unknown') void openState(group)
      return state
    },
    close: () => {
      closed = true
      for (const state of states.values()) state.close()
    },
  }
}
