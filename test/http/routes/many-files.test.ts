import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { growth, LINEAR_FACTOR } from '../../_util/growth.ts'
import { type FilesFront, startFilesFront } from '../files-front.ts'

const SIZES = { small: 1_000, large: 10_000, rounds: 2 }

test('a form of ten times as many files takes about ten times as long', { timeout: 120_000 }, async () => {
  await using files = await startFilesFront()
  const factor = await growth(SIZES, async (count) => {
    const dir = await mkdtemp(join(files.dir, 'form-'))
    const parts = Array.from({ length: count }, (_, index) => part(join(dir, `file-${index}.txt`)))
    const answer = await files.post('', `${parts.join('')}--x--\r\n`, {
      'content-type': 'multipart/form-data; boundary=x',
    })
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.text)).toHaveLength(count)
  })
  expect(factor).toBeLessThan(LINEAR_FACTOR)
})

test('B35 of many files the second one of a path is refused, with the names of the others', async () => {
  await using files = await startFilesFront()
  const names = Array.from({ length: 100 }, (_, index) => join(files.dir, `file-${index}`))
  const again = `${files.dir}/./file-50`
  const body = `${[...names, again].map(part).join('')}--x--\r\n`
  const { status, text } = await files.post('', body, { 'content-type': 'multipart/form-data; boundary=x' })
  expect(status).toBe(400)
  const others = names.filter((_, index) => index !== 50).join(', ')
  expect(JSON.parse(text).message).toContain(`to the same path '${again}' in one upload request`)
  expect(JSON.parse(text).message).toMatch(new RegExp(`also the following files were uploaded: ${others}$`))
})

test('ten times as many sources are joined in about ten times the time', { timeout: 120_000 }, async () => {
  await using files = await startFilesFront()
  const factor = await growth(SIZES, async (count) => {
    const { sources, destination } = await withSources(files, count)
    const answer = await files.compose({ source_paths: sources, destination })
    expect(answer.status).toBe(200)
  })
  expect(factor).toBeLessThan(LINEAR_FACTOR)
})

function part(name: string): string {
  return `--x\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\nx\r\n`
}

async function withSources(files: FilesFront, count: number) {
  const dir = await mkdtemp(join(files.dir, 'sources-'))
  const sources = Array.from({ length: count }, (_, index) => join(dir, String(index)))
  await Promise.all(sources.map((path) => writeFile(path, 'x')))
  return { sources, destination: join(dir, 'joined') }
}
