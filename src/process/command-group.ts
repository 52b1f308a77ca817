import type { LaunchRequest } from './launch.ts'

/** The cgroups that commands are put into: terminals, and everything else. */
export type CommandGroup = 'user' | 'ptys'

/** Tag of the platform's own commands, which go on while everything else is frozen. */
const SYSTEM_TAG = '_system'

/** The cgroup of a command; undefined: the daemon's own (contract D9). */
export function commandGroup({ tag, terminal }: Pick<LaunchRequest, 'tag' | 'terminal'>): CommandGroup | undefined {
  if (tag === SYSTEM_TAG) return undefined
  return terminal === undefined ? 'user' : 'ptys'
}

/** Where starts wait while the cgroup that they are to go into is frozen (`cgroups/freeze/start-gate.ts`). */
export interface StartGate {
  /**
   * Resolves, with what to call when the command has started or failed to, once the group lets processes run. Rejects
   * with the signal's reason, with `resource_exhausted` when too many wait, or with `unavailable` and a text that
   * begins with the result of `what`.
   */
  enter(group: CommandGroup, signal: AbortSignal, what: () => string): Promise<() => void>
}
