import { chown, mkdir, writeFile } from 'node:fs/promises'
import { all, check, type Field, ok, type Traffic } from '../field.ts'
import { cleaned } from './remove.ts'

const FILESYSTEM = 'filesystem.Filesystem'
/** The ids of `user`, the default user, in the namespace. */
const USER = 1000
const FILES = 'files.v1.Files'

async function makeTree(dir: string): Promise<void> {
  await mkdir(`${dir}/sub/deep`, { recursive: true, mode: 0o777 })
  for (const name of ['a.txt', 'sub/b.txt', 'sub/deep/c.txt']) {
    await writeFile(`${dir}/${name}`, `first line\nneedle in ${name}\nlast line\n`)
    await chown(`${dir}/${name}`, USER, USER)
  }
}

async function moves(field: Field, id: string): Promise<void> {
  const path = `${field.dir}/${id}`
  await ok(field, `${FILESYSTEM}/MakeDir`, { path: `${path}/one` })
  await ok(field, `${FILESYSTEM}/Move`, { source: `${path}/one`, destination: `${path}/two` })
  const { entries } = await ok<{ entries: { name: string }[] }>(field, `${FILESYSTEM}/ListDir`, { path, depth: 1 })
  check(entries.map(({ name }) => name).join() === 'two', 'listing', entries)
  const { entry } = await ok<{ entry: { type: string } }>(field, `${FILESYSTEM}/Stat`, { path: `${path}/two` })
  check(entry.type === 'FILE_TYPE_DIRECTORY', 'stat', entry)
  await ok(field, `${FILESYSTEM}/Remove`, { path })
}

async function edits(field: Field, id: string): Promise<void> {
  const path = `${field.dir}/${id}/a.txt`
  const replacements = { replacements: [{ oldText: 'needle', newText: 'thread' }] }
  const { edit } = await ok<{ edit?: string }>(field, `${FILES}/Edit`, { files: [{ path, replacements }] })
  const lines = () => ok<{ lines: { text: string }[] }>(field, `${FILES}/ReadLines`, { path })
  check((await lines()).lines[1]?.text === 'thread in a.txt', 'edit')
  await ok(field, `${FILES}/Undo`, { edit })
  check((await lines()).lines[1]?.text === 'needle in a.txt', 'undo')
}

async function searches(field: Field, id: string): Promise<void> {
  const path = `${field.dir}/${id}`
  const found = await all<{ file?: object; summary?: { files: string } }>(field, `${FILES}/Find`, { path })
  check(found.at(-1)?.summary?.files === '3', 'find', found.at(-1))
  const matched = await all<{ summary?: { matchingLines: string } }>(field, `${FILES}/Grep`, {
    path,
    pattern: 'needle',
  })
  check(matched.at(-1)?.summary?.matchingLines === '3', 'grep', matched.at(-1))
}

async function copies(field: Field, id: string): Promise<void> {
  const path = `${field.dir}/${id}`
  const destination = `${field.dir}/${id}.copy`
  await all(field, `${FILES}/Copy`, { source: path, destination, recursive: true })
  const sums = await Promise.all(
    [path, destination].map((each) =>
      all<{ summary?: { sha256: string } }>(field, `${FILES}/Checksum`, { path: each }),
    ),
  )
  const [first, second] = sums.map((messages) => messages.at(-1)?.summary?.sha256)
  check(first !== undefined && first === second, 'checksums', sums)
  const usage = await all<{ summary?: { entries: string } }>(field, `${FILES}/DiskUsage`, { path: destination })
  check(Number(usage.at(-1)?.summary?.entries) >= 5, 'disk usage', usage.at(-1))
}

async function attributes(field: Field, id: string): Promise<void> {
  const path = `${field.dir}/${id}/link`
  await ok(field, `${FILES}/Symlink`, { target: 'a.txt', path })
  check((await ok<{ target: string }>(field, `${FILES}/ReadLink`, { path })).target === 'a.txt', 'link')
  const file = `${field.dir}/${id}/a.txt`
  await all(field, `${FILES}/SetAttributes`, { path: file, mode: 0o640 })
  await ok(field, `${FILES}/Truncate`, { path: file, size: 5 })
  const { entry } = await ok<{ entry: { size: string; mode: number } }>(field, `${FILESYSTEM}/Stat`, { path: file })
  check(entry.size === '5' && entry.mode === 0o640, 'attributes', entry)
}

function inTree(name: string, run: (field: Field, id: string) => Promise<void>): Traffic {
  const inside = async (field: Field, id: string) => {
    await makeTree(`${field.dir}/${id}`)
    await run(field, id)
  }
  return cleaned(name, inside)
}

/** Calls of the file services. */
export const FILE_CALLS: readonly Traffic[] = [
  cleaned('directories made, moved, listed, removed', moves),
  inTree('an edit and its undoing', edits),
  inTree('searches', searches),
  inTree('a copy and its checksum', copies),
  inTree('links and attributes', attributes),
]
