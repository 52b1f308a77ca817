import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { beforeEach, expect, test } from 'vitest'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { needsChromium } from '../browser.ts'
import { openFiles } from './files-view.ts'
import { TOKEN } from './open-console.ts'

beforeEach(needsChromium)

const GIB = 1024 * 1024 * 1024

async function makeSparse(path: string, size: number): Promise<void> {
  await using file = await open(path, 'w')
  await file.truncate(size)
  await file.write('end', size - 3)
}

test('500 files and a directory are uploaded by drag and drop', async () => {
  await using source = await makeTmpDir()
  const paths = Array.from({ length: 500 }, (_, index) => `${source.path}/file-${index}.txt`)
  for (const [index, path] of paths.entries()) await writeFile(path, `content ${index}`)
  await mkdir(`${source.path}/tree/in/empty`, { recursive: true })
  await writeFile(`${source.path}/tree/in/deep.txt`, 'deep')
  await using files = await openFiles(async () => undefined)
  const { dir, page, drop } = files
  await drop([...paths, `${source.path}/tree`])
  await page.getByText('Uploaded 501 files').waitFor({ timeout: 60_000 })
  expect((await readdir(dir)).filter((name) => !name.startsWith('file-'))).toEqual(['tree'])
  expect((await readdir(dir)).length).toBe(501)
  expect(await readFile(`${dir}/file-499.txt`, 'utf8')).toBe('content 499')
  expect(await readFile(`${dir}/tree/in/deep.txt`, 'utf8')).toBe('deep')
  expect((await stat(`${dir}/tree/in/empty`)).isDirectory()).toBe(true)
  await page.getByRole('button', { name: 'Close', exact: true }).click()
  await page.getByRole('region', { name: 'Uploads' }).waitFor({ state: 'detached' })
})

test('2 GiB are uploaded with progress', async () => {
  const BIG = 2 * GIB
  await using source = await makeTmpDir()
  await makeSparse(`${source.path}/large.bin`, BIG)
  await using files = await openFiles(async () => undefined)
  const { dir, page, drop } = files
  const begun = performance.now()
  await drop([`${source.path}/large.bin`])
  const bar = page.getByRole('progressbar', { name: 'Upload of large.bin' })
  await bar.waitFor()
  const seen = new Set<number>()
  const done = page.getByText('Uploaded 1 file').waitFor({ timeout: 100_000 })
  const read = async () => {
    while (await bar.isVisible()) seen.add(Number(await bar.getAttribute('value')))
  }
  await Promise.all([done, read().catch(() => undefined)])
  console.log(`uploaded ${BIG} bytes in ${Math.round(performance.now() - begun)} ms, ${seen.size} values of progress`)
  expect(seen.size).toBeGreaterThan(2)
  expect((await stat(`${dir}/large.bin`)).size).toBe(BIG)
  await using file = await open(`${dir}/large.bin`)
  expect((await file.read(Buffer.alloc(3), 0, 3, BIG - 3)).buffer.toString()).toBe('end')
})

test('a file that is there is replaced only if that is chosen', async () => {
  await using source = await makeTmpDir()
  await writeFile(`${source.path}/same`, 'new')
  await using files = await openFiles((dir) => writeFile(`${dir}/same`, 'old'), { tolerates: [/status of 409/] })
  const { dir, page, drop } = files
  await drop([`${source.path}/same`])
  const replace = page.getByRole('button', { name: 'Replace same' })
  await replace.waitFor()
  expect(await readFile(`${dir}/same`, 'utf8')).toBe('old')
  await replace.click()
  await page.getByText('Uploaded 1 file').waitFor()
  expect(await readFile(`${dir}/same`, 'utf8')).toBe('new')
})

test('files are chosen by the button, and downloaded without the token in the address', async () => {
  await using source = await makeTmpDir()
  await writeFile(`${source.path}/chosen.txt`, 'chosen')
  await using files = await openFiles((dir) => mkdir(`${dir}/sub`), { token: true })
  const { dir, page, row, context } = files
  const addresses: string[] = []
  context.on('request', (request) => addresses.push(request.url()))
  const chooser = page.waitForEvent('filechooser')
  await page.getByRole('button', { name: 'Upload', exact: true }).click()
  await (await chooser).setFiles(`${source.path}/chosen.txt`)
  await row('chosen.txt').waitFor()
  const downloaded = async (name: string) => {
    await row(name).click({ position: { x: 400, y: 10 } })
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download' }).click()
    return await download
  }
  const file = await downloaded('chosen.txt')
  expect(file.suggestedFilename()).toBe('chosen.txt')
  expect(await readFile(await file.path(), 'utf8')).toBe('chosen')
  const archive = await downloaded('sub')
  expect(archive.suggestedFilename()).toBe('sub.tar.gz')
  expect((await readFile(await archive.path())).subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]))
  expect([...addresses, file.url(), archive.url()].filter((url) => url.includes(TOKEN))).toEqual([])
  expect(await readdir(dir)).toEqual(['chosen.txt', 'sub'])
})
