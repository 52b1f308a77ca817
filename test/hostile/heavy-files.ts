import { mkdir, writeFile } from 'node:fs/promises'
import type { HeavyRequest } from './heavy-requests.ts'

interface HeavyFileRequest extends HeavyRequest {
  readonly method: string
}

/** Makes files below a directory, and the requests whose work they are. */
export async function heavyFiles(directory: string): Promise<readonly HeavyFileRequest[]> {
  return [...(await ignored(directory)), ...(await leftOut(directory))]
}

/** A tree whose rules are nearly as large as they may be, and nearly match the long names in it. */
async function ignored(directory: string): Promise<readonly HeavyFileRequest[]> {
  const root = `${directory}/ignored`
  const lines = ['*', '/**/*'].flatMap((start) => {
    const rule = `${start}${'a'.repeat(126)}b${start === '*' ? '' : '/**'}\n`
    return Array<string>(Math.floor(7_800 / rule.length)).fill(rule)
  })
  let below = root
  for (let level = 0; level < 14; level++) {
    below += `/${'a'.repeat(240)}`
  }
  await mkdir(below, { recursive: true })
  await writeFile(`${root}/.gitignore`, lines.join(''))
  await writeFile(`${below}/${'a'.repeat(240)}`, '')
  const query = new URLSearchParams({ path: root, format: 'tar', gitignore: '1' })
  return [{ name: 'rules that nearly match', method: 'GET', path: `/files?${query}`, headers: {}, body: '' }]
}

/** Directories in one another, and patterns that nearly match each run of them. Every entry is compared. */
async function leftOut(directory: string): Promise<readonly HeavyFileRequest[]> {
  const root = `${directory}/nested`
  await mkdir(`${root}/${'d/'.repeat(1_900)}`, { recursive: true })
  const pattern = `**/${'d/'.repeat(950)}e/**`
  const query = new URLSearchParams({ path: root, format: 'tar', exclude: pattern })
  const watch = { path: root, recursive: true }
  return [
    { name: 'an archive without nearly matching paths', method: 'GET', path: `/files?${query}`, headers: {}, body: '' },
    {
      name: 'a watch without nearly matching paths',
      method: 'POST',
      path: '/filesystem.Filesystem/CreateWatcher',
      headers: { 'content-type': 'application/json', 'watch-exclude': pattern },
      body: JSON.stringify(watch),
    },
  ]
}
