import { mkdir, writeFile } from 'node:fs/promises'
import type { HeavyRequest } from './heavy-requests.ts'

interface HeavyFileRequest extends HeavyRequest {
  readonly method: string
}

/** Makes files below a directory, and the requests whose work they are. */
export async function heavyFiles(directory: string): Promise<readonly HeavyFileRequest[]> {
  return [...(await ignored(directory))]
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
