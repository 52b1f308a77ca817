import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { buildUploads } from '../../src/build-parts.ts'
import type { NewUpload } from '../../src/uploads/uploads.ts'
import { makePeople } from '../_util/people.ts'
import { recordingLog } from '../_util/recording-log.ts'

const hold = createByteBudget(1024 * 1024).hold('upload', { connection: undefined, user: undefined })

function asked(path: string): NewUpload {
  return {
    ...{ asked: { path, username: '' }, path, user: 'ann', confined: false, mode: 'atomic', length: 10 },
    ...{ chmod: undefined, conditions: {}, metadata: {}, uploadMetadata: undefined, concat: undefined },
  }
}

test('what has expired is removed when the next daemon begins, and nothing else is', async () => {
  await using people = await makePeople()
  const records = join(people.dir, 'records')
  const start = () => {
    const { log } = recordingLog()
    const config = { uploads: { dir: records, maxBytes: 1000 } }
    return buildUploads(config, { users: people.users, strictFileUsers: false, log })
  }
  const first = start()
  const [old, fresh] = [
    await first.create(asked(join(people.dir, 'a')), hold),
    await first.create(asked(join(people.dir, 'b')), hold),
  ]
  const file = join(records, `${old.id}.json`)
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), expires: Date.now() - 1 }))
  await writeFile(join(records, 'damaged.json'), '{')
  const second = start()
  expect(await second.find(old.id)).toBeUndefined()
  second.begin()
  await expect.poll(() => readdir(records)).toEqual([`${fresh.id}.json`])
  expect((await readdir(people.dir)).filter((name) => name.startsWith('.envd'))).toEqual([fresh.place.name])
  expect(await second.find(fresh.id)).toMatchObject({ offset: 0, length: 10 })
  second.close()
})
