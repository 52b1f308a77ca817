import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { archiveTree } from '../../src/archives/archive-tree.ts'
import { createByteBudget } from '../../src/budget/budget.ts'
import { openTreeRoot } from '../../src/filesystem/tree-root.ts'
import { closeFile } from '../../src/native/file-calls.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const DIRECTORIES = 100

test('a tree of which nothing is sent is not walked to its end for a client that has left', async () => {
  await using tmp = await makeTmpDir()
  for (let at = 0; at < DIRECTORIES; at++) mkdirSync(join(tmp.path, String(at), 'below'), { recursive: true })
  const owner = { name: 'root', uid: 0, gid: 0, home: '/' }
  const root = await openTreeRoot(tmp.path, owner)
  if (root === undefined) throw new Error('is a directory')
  const hold = createByteBudget(2 ** 20).hold('download', { connection: {}, user: 'root' })
  const client = new AbortController()
  const seen: string[] = []
  const walked = archiveTree(root, {
    ...{ path: tmp.path, owner, prefix: Buffer.alloc(0), strip: 999, hold, signal: client.signal },
    onLeftOut: () => {},
    // biome-ignore lint/correctness/useYield: it needs one step
    *exclude(path) {
      seen.push(path)
      client.abort(new Error('the client has left'))
      return false
    },
  }).next()
  await expect(walked).rejects.toThrow('the client has left')
  // Of those that were read ahead some may be there.
  expect(seen.length).toBeLessThan(DIRECTORIES + 5)
  hold.release()
  await closeFile(root)
})
