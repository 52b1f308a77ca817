import type { MadeGroup } from '../cgroups/limited-group.ts'
import { AppError } from '../errors.ts'
import { commandGroup } from './command-group.ts'
import type { LaunchRequest } from './launch.ts'
import { needsGroup } from './limits.ts'
import type { CommandGroups } from './spawn-in-group.ts'

/**
 * Makes the cgroup that the limits of a command take; undefined: it has no such limits. It is the caller's, to close
 * and to remove. Rejects with AppError `failed_precondition` that says what is missing.
 */
export async function makeOwnGroup(
  request: Pick<LaunchRequest, 'limits' | 'tag' | 'terminal'>,
  groups: CommandGroups,
): Promise<MadeGroup | undefined> {
  const { limits = {} } = request
  if (!needsGroup(limits)) return undefined
  const group = commandGroup(request)
  if (group === undefined)
    throw new AppError('failed_precondition', `a command with the tag ${request.tag} is in the cgroup of the daemon`)
  return groups.makeLimited(group, limits)
}
