import { readdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { expect, test } from 'vitest'
import { AppError, type ErrorKind } from '../../src/errors.ts'
import { launch } from '../../src/process/launch.ts'
import { NO_WITNESS } from '../../src/process/oom-witness.ts'
import { OutputWindow } from '../../src/process/output-window.ts'
import { SlabPool } from '../../src/process/slab-pool.ts'
import { createDefaults } from '../../src/users/defaults.ts'
import { createUsers } from '../../src/users/users.ts'

/** Descriptors of this process. */
const descriptors = () => readdirSync('/proc/self/fd').length

test.each<[string, ErrorKind]>([
  ['whose deadline has passed', 'deadline_exceeded'],
  ['whose caller has gone', 'canceled'],
])('N3 a start %s before the fork is %s and leaves nothing', async (_, kind) => {
  const { username, uid, gid, homedir } = userInfo()
  const own = { name: username, uid, gid, home: homedir }
  await using devNull = await open('/dev/null', 'r')
  const deps = {
    users: createUsers({ own }),
    defaults: createDefaults({ user: username, workdir: undefined, notFirecracker: true }),
    window: new OutputWindow(32 * 1024 * 1024),
    pool: new SlabPool(),
    path: '/usr/bin:/bin',
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
    oom: NO_WITNESS,
    devNull: devNull.fd,
  }
  const over = new AbortController()
  const command = { config: { cmd: 'sleep', args: ['1000'], envs: {}, cwd: '/' }, tag: undefined, replay: false }
  const before = descriptors()
  for (const terminal of [undefined, { columns: 80, rows: 24 }]) {
    const start = launch({ ...command, terminal, stdin: true, user: own, signal: over.signal }, deps)
    over.abort(new AppError(kind, 'over'))
    await expect(start).rejects.toMatchObject({ kind, message: 'over' })
  }
  expect(descriptors()).toBe(before)
})
