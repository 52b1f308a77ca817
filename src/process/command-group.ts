import type { CommandGroup } from '../cgroups/properties.ts'
import type { LaunchRequest } from './launch.ts'

/** Tag of the platform's own commands, which go on while everything else is frozen. */
const SYSTEM_TAG = '_system'

/** The cgroup of a command; undefined: the daemon's own (contract D9). */
export function commandGroup({ tag, terminal }: Pick<LaunchRequest, 'tag' | 'terminal'>): CommandGroup | undefined {
  if (tag === SYSTEM_TAG) return undefined
  return terminal === undefined ? 'user' : 'ptys'
}
