import { mkdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Inotify } from '../../src/watch/inotify.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { silent, watchDirectory } from './watching.ts'

const GONE = new Error('the client has gone')

test('what is armed for a client that leaves ends, and takes nothing from one that wants the same', async () => {
  await using dir = await makeTmpDir()
  for (let at = 0; at < 500; at++) await mkdir(`${dir.path}/${at}`)
  const inotify = new Inotify({ log: silent })
  try {
    for (const exclude of [[], ['*.tmp']]) {
      const leaves = new AbortController()
      const left = watchDirectory(dir.path, { inotify, exclude, signal: leaves.signal })
      leaves.abort(GONE)
      await expect(left).rejects.toBe(GONE)
      await expect.poll(() => inotify.watches).toBe(0)

      const other = new AbortController()
      const second = watchDirectory(dir.path, { inotify, exclude, signal: other.signal })
      await using stays = await watchDirectory(dir.path, { inotify, exclude })
      other.abort(GONE)
      await second.then(
        (watching) => watching[Symbol.asyncDispose](),
        (reason: unknown) => expect(reason).toBe(GONE),
      )
      await mkdir(`${dir.path}/499/new${exclude.length}`)
      expect(await stays.reported()).toEqual([`CREATE 499/new${exclude.length}`])
    }
  } finally {
    inotify.close()
  }
})
