import { readdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { AppError, type ErrorKind } from '../../src/errors.ts'
import { launch } from '../../src/process/launch.ts'
import { launchDeps } from '../_util/launch-deps.ts'
import { self } from '../_util/self.ts'

/** Descriptors of this process. */
const descriptors = () => readdirSync('/proc/self/fd').length

test.each<[string, ErrorKind]>([
  ['whose deadline has passed', 'deadline_exceeded'],
  ['whose caller has gone', 'canceled'],
])('N3 a start %s before the fork is %s and leaves nothing', async (_, kind) => {
  const own = await self()
  await using devNull = await open('/dev/null', 'r')
  const deps = launchDeps(own, devNull.fd)
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
