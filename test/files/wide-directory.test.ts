import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startFilesFront } from '../http/files-front.ts'
import { serveFiles } from './served.ts'

/** More than a call of a function takes as arguments. */
const DIRECTORIES = 130_000

function makeWide(directory: string): void {
  for (let index = 0; index < DIRECTORIES; index++) mkdirSync(join(directory, String(index)), { recursive: true })
}

test('a directory with more directories than a call takes arguments is archived whole, and walked', async () => {
  await using files = await startFilesFront()
  const wide = join(files.dir, 'wide')
  makeWide(wide)
  const { status, body } = await files.get({ format: 'tar', times: 's', path: wide })
  expect(status).toBe(200)
  const names = execFileSync('tar', ['-tf', '-'], { input: body, encoding: 'utf8', maxBuffer: 2 ** 24 })
  expect(new Set(names.trim().split('\n')).size).toBe(DIRECTORIES)
  await using served = await serveFiles()
  const found: unknown[] = []
  for await (const items of served.checksum({ path: wide })) found.push(...items)
  expect(found).toEqual([expect.objectContaining({ kind: 'summary', files: 0, leftOut: 0 })])
}, 120_000)
