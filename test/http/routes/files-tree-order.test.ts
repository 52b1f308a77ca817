import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type FilesFront, startFilesFront } from '../files-front.ts'

/** Names in the order of archives: all in a directory, and then what is in each directory in it. */
function expectedOrder(path: string, inside = ''): string[] {
  const entries = readdirSync(path, { withFileTypes: true }).sort((a, b) =>
    Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  )
  const directories = entries.filter((entry) => entry.isDirectory())
  return [
    ...entries.map((entry) => `${inside}${entry.name}${entry.isDirectory() ? '/' : ''}`),
    ...directories.flatMap(({ name }) => expectedOrder(join(path, name), `${inside}${name}/`)),
  ]
}

async function namesOf(files: FilesFront, query: Record<string, string>): Promise<string[]> {
  const { status, body } = await files.get({ format: 'tar', ...query })
  expect(status).toBe(200)
  return execFileSync('tar', ['-tf', '-'], { input: body, encoding: 'utf8' }).trim().split('\n')
}

function writeFiles(directory: string, count: number): void {
  mkdirSync(directory, { recursive: true })
  for (let index = 0; index < count; index++) writeFileSync(join(directory, `m-${index}`), 'x'.repeat(index % 700))
}

/** Directories at the beginning, in the middle and at the end of more files than one piece of work takes, and deep. */
function makeTree(tree: string): void {
  for (const wide of [tree, join(tree, 'b/wide'), join(tree, 'z')]) {
    writeFiles(wide, 700)
    for (const name of ['a', 'm-350-', 'y']) writeFiles(join(wide, name, 'deep/deeper'), 3)
  }
  for (let index = 0; index < 300; index++) writeFiles(join(tree, `many/${index % 7}/${index}`), index % 4)
}

test('each directory comes whole before what is in those in it, in the order of bytes, however it was read', async () => {
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  makeTree(tree)
  const expected = expectedOrder(tree)
  expect(await namesOf(files, { path: tree })).toEqual(expected)
  expect(await namesOf(files, { path: tree, exclude: 'nothing' })).toEqual(expected)
  const below = expected.map((name) => name.split('/').slice(1).join('/')).filter((name) => name !== '')
  expect(await namesOf(files, { path: tree, strip: '1' })).toEqual(below)
})
