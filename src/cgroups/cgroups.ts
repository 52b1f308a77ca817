import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { DEFAULT_CGROUP_ROOT } from '../config/flags.ts'
import type { Config } from '../config.ts'
import { errnoOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { createCommandGroups } from './command-groups.ts'
import { type GroupLimits, type LimitedGroup, limitingControllers, type MadeGroup, unlimited } from './limited-group.ts'
import { openLimitedGroups } from './limited-groups.ts'
import { enableControllers } from './make-group.ts'
import { createOutsideWarning } from './outside-warning.ts'
import { createPlaces } from './places.ts'
import type { CommandGroup, GroupName } from './properties.ts'
import type { MemoryUse } from './reserve.ts'
import { makeServiceGroup, removeEmptyServiceGroups, type ServiceGroup, serviceGroup } from './service-group.ts'

/** The cgroups of the daemon (contract H1, H2). */
export interface Cgroups {
  /** The directory that they are in; undefined: there are none, and commands stay in the daemon's own. */
  readonly root: string | undefined
  /** Why there are none; undefined: there are. */
  readonly absence: string | undefined
  /** Of the controllers that limits of single commands belong to, those that there are. */
  readonly limiting: readonly string[]
  /**
   * A descriptor of the directory that commands without limits go into (`placeIn`), good until control returns to the
   * event loop; undefined: there is none.
   */
  descriptor(name: GroupName): number | undefined
  /**
   * After a start that the cgroup refused: makes it anew if it was removed. Returns whether to try again, also
   * because commands go elsewhere since; never rejects.
   */
  recreate(name: GroupName, errno: string): Promise<boolean>
  /** Warns the operator, now and then, that commands start outside of their cgroup, and why. */
  warnOutside(name: GroupName, errno: string): void
  /**
   * Makes the cgroup of one command with limits, below the one of that name. Rejects with AppError
   * `failed_precondition` that says what is missing.
   */
  makeLimited(name: CommandGroup, limits: GroupLimits): Promise<MadeGroup>
  /** That of a command of an earlier daemon, once; undefined: it is gone. */
  takeLimited(name: CommandGroup, group: string): LimitedGroup | undefined
  /** Removes the other cgroups of commands that earlier daemons have left, each once it is empty. */
  removeLeft(): void
  /**
   * Makes the cgroup of one run of a service; undefined where it cannot be made, and its processes are in `user` then.
   * Never rejects.
   */
  makeService(name: string): Promise<ServiceGroup | undefined>
  /** The one of that name that was made before, by whichever daemon. */
  service(name: string): ServiceGroup | undefined
  /**
   * Limits the memory of commands anew, by what the daemon and the system use now. A cgroup that has more already keeps
   * its limit. Never rejects.
   */
  keepBack(memory: MemoryUse): Promise<void>
  /** Closes the descriptors. The cgroups stay, with what runs in them, but for empty ones of services. Idempotent. */
  close(): Promise<void>
}

/** `cgroupRoot` is an existing directory of a cgroup2, else there are none. */
type CgroupFlags = Pick<Config, 'cgroupRoot' | 'noCgroups'>

/** CGROUP2_SUPER_MAGIC of statfs(2). */
const CGROUP2 = 0x63677270

/** What a machine or a container without cgroups to write is like, to an operator who did not ask for any. */
const ORDINARY: readonly (string | undefined)[] = ['ENOENT', 'EACCES', 'EPERM', 'EROFS']

/**
 * Makes or takes over the cgroups, limits them by the memory that is in use, and opens them. Never rejects: where it
 * cannot be done there are none, and one log line says why.
 */
export async function openCgroups(
  { cgroupRoot: root, noCgroups }: CgroupFlags,
  memory: MemoryUse,
  log: Log,
): Promise<Cgroups> {
  if (noCgroups) return none(log, 'info', { reason: 'switched off' })
  const expected = root === DEFAULT_CGROUP_ROOT ? 'info' : 'warn'
  try {
    if ((await statfs(root)).type !== CGROUP2) return none(log, expected, { root, reason: 'no cgroup2' })
    return { ...(await openGroups(root, memory, log)), absence: undefined }
  } catch (error) {
    const errno = errnoOf(error) ?? 'EIO'
    return none(log, ORDINARY.includes(errno) ? expected : 'warn', { root, reason: errno })
  }
}

function none(log: Log, level: 'info' | 'warn', fields: { root?: string; reason: string }): Cgroups {
  log[level](fields, 'no cgroups: commands run in the cgroup of the daemon and cannot be frozen')
  const absence = fields.root === undefined ? fields.reason : `${fields.root}: ${fields.reason}`
  return {
    root: undefined,
    absence,
    limiting: [],
    makeLimited: async () => {
      throw unlimited(`there are no cgroups (${absence})`)
    },
    takeLimited: () => undefined,
    removeLeft: () => {},
    descriptor: () => undefined,
    recreate: async () => false,
    warnOutside: () => {},
    makeService: async () => undefined,
    service: () => undefined,
    keepBack: async () => {},
    close: async () => {},
  }
}

async function openGroups(root: string, memory: MemoryUse, log: Log): Promise<Omit<Cgroups, 'absence'>> {
  const places = createPlaces(root)
  const groups = createCommandGroups({ root, places, log }, memory)
  const commands = join(root, 'user')
  const close = async () => {
    await places.close()
    await removeEmptyServiceGroups(commands)
  }
  await enableControllers(root)
  await groups.openAll().catch(async (error: unknown) => {
    await close()
    throw error
  })
  const recreate = async (name: GroupName, errno: string): Promise<boolean> =>
    errno === 'EBUSY' ? name !== 'socats' && limited.isSplit(name) : groups.remake(name, errno)
  await removeEmptyServiceGroups(commands)
  const limited = await openLimitedGroups({ root, replace: places.open, recreate })
  await groups.limit(memory)
  return {
    root,
    limiting: await limitingControllers(commands),
    descriptor: places.descriptor,
    recreate,
    warnOutside: createOutsideWarning(log),
    makeLimited: limited.make,
    takeLimited: limited.takeLeft,
    removeLeft: limited.removeLeft,
    makeService: (name) => makeService({ commands, name, recreate, log }),
    service: (name) => serviceGroup(commands, name),
    keepBack: groups.limit,
    close,
  }
}

interface ServiceSpec {
  /** The directory of the cgroup of commands. */
  readonly commands: string
  readonly name: string
  readonly recreate: Cgroups['recreate']
  readonly log: Log
}

async function makeService(spec: ServiceSpec, recreated = false): Promise<ServiceGroup | undefined> {
  const { commands, name, recreate, log } = spec
  try {
    return await makeServiceGroup(commands, name)
  } catch (error) {
    const errno = errnoOf(error) ?? 'EIO'
    if (!recreated && (await recreate('user', errno))) return makeService(spec, true)
    log.warn({ name, errno }, 'a service has no cgroup of its own')
    return undefined
  }
}
