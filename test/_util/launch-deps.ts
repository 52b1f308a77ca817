import { OutputWindow } from '../../src/process/output-window.ts'
import type { createProcessService } from '../../src/process/service.ts'
import { SlabPool } from '../../src/process/slab-pool.ts'
import { createDefaults } from '../../src/users/defaults.ts'
import { createUsers, type User } from '../../src/users/users.ts'

/**
 * What starts of commands in the process of a test need: no cgroups, no keeper, and kills for lack of memory are not
 * seen.
 * @param own the user who runs the test.
 * @param devNull a descriptor of /dev/null, the caller's.
 */
export function launchDeps(own: User, devNull: number, path = '/usr/bin:/bin') {
  return {
    users: createUsers({ own }),
    defaults: createDefaults({ user: own.name, workdir: undefined, notFirecracker: true }),
    window: new OutputWindow(32 * 1024 * 1024),
    pool: new SlabPool(),
    path,
    noFile: undefined,
    readerStall: 60_000,
    deposits: undefined,
    groups: {
      descriptor: () => undefined,
      recreate: async () => false,
      warnOutside: () => {},
      makeLimited: () => Promise.reject(new Error('no cgroups')),
      takeLimited: () => undefined,
      removeLeft: () => {},
    },
    oom: {
      begin: () => ({ wasOutOfMemory: async () => false, end: () => {} }),
      close: () => {},
    },
    devNull,
  } satisfies Partial<Parameters<typeof createProcessService>[0]>
}
