import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toBinary, toJson } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { EntryInfoSchema } from '../../src/gen/filesystem/filesystem_pb.js'
import { needsNamespace } from '../_util/namespace.ts'
import { startFilesFront } from '../http/files-front.ts'
import { startFiles } from './files.ts'

/** Seconds that files on a tmpfs may have, and what messages say instead. */
const TIMES = [
  ['1099511627776', '9999-12-31T23:59:59.999999999Z'],
  ['9223372036854775', '9999-12-31T23:59:59.999999999Z'],
  ['-99999999999', '0001-01-01T00:00:00Z'],
] as const

test('a time outside of the years 1 to 9999 is reported as the nearest one, and no other entry is lost', async (context) => {
  needsNamespace(context)
  await using files = await startFiles()
  for (const [seconds, reported] of TIMES) {
    const path = join(files.dir, `t${seconds}`)
    await writeFile(path, '')
    execFileSync('touch', ['-d', `@${seconds}`, path])
    const moved = await files.move(path, `${path}-moved`)
    for (const entry of [moved, await files.stat(`${path}-moved`)]) {
      expect(toJson(EntryInfoSchema, entry)).toMatchObject({ modifiedTime: reported })
      expect(toBinary(EntryInfoSchema, entry).length).toBeGreaterThan(0)
    }
  }
  const entries = await files.list(files.dir)
  expect(entries).toHaveLength(TIMES.length + 3)
  for (const entry of entries) expect(() => toJson(EntryInfoSchema, entry)).not.toThrow()
})

test('a download has no date where HTTP has none for it', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  await writeFile(path, 'content')
  for (const [seconds] of TIMES) {
    execFileSync('touch', ['-d', `@${seconds}`, path])
    const answer = await files.get({ path })
    expect(answer).toMatchObject({ status: 200, text: 'content' })
    expect(answer.headers).not.toHaveProperty('last-modified')
  }
})
