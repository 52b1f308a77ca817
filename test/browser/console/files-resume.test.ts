import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { beforeEach, expect, test } from 'vitest'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { needsChromium } from '../browser.ts'
import { type FilesPage, openFiles } from './files-view.ts'

beforeEach(needsChromium)

const MIB = 1024 * 1024
/** What a page says in its console when requests fail, and when it asks what has come. */
const CUT = /ERR_|status of (404|409|423)/

/** A directory with one file that has these bytes, the last of which are `end`. */
async function makeSource(bytes: number) {
  const source = await makeTmpDir()
  const path = `${source.path}/large.bin`
  await using file = await open(path, 'w')
  await file.truncate(bytes)
  await file.write('end', bytes - 3)
  return { path, [Symbol.asyncDispose]: () => source[Symbol.asyncDispose]() }
}

/** A daemon with a directory of its own for its records. */
async function openUploads(options: Parameters<typeof openFiles>[1] = {}) {
  const records = await makeTmpDir()
  const args = ['-upload-dir', records.path]
  const files = await openFiles(async () => undefined, { args, tolerates: [CUT], ...options })
  const leftovers = async () => [...(await readdir(files.dir)), ...(await readdir(records.path))]
  const dispose = async () => {
    await files[Symbol.asyncDispose]()
    await records[Symbol.asyncDispose]()
  }
  return { ...files, leftovers, [Symbol.asyncDispose]: dispose }
}

/** Resolves when more than so many bytes have come. */
async function whenCome({ dir }: Pick<FilesPage, 'dir'>, bytes: number): Promise<void> {
  const sizeOf = async () => {
    const name = (await readdir(dir)).find((found) => found.startsWith('.envd-'))
    return name === undefined ? 0 : (await stat(`${dir}/${name}`)).size
  }
  await expect.poll(sizeOf, { interval: 5 }).toBeGreaterThan(bytes)
}

async function expectWhole({ dir, page }: Pick<FilesPage, 'dir' | 'page'>, bytes: number): Promise<void> {
  await page.getByText('Uploaded 1 file').waitFor({ timeout: 60_000 })
  expect((await stat(`${dir}/large.bin`)).size).toBe(bytes)
  await using file = await open(`${dir}/large.bin`)
  expect((await file.read(Buffer.alloc(3), 0, 3, bytes - 3)).buffer.toString()).toBe('end')
  expect(await readdir(dir)).toEqual(['large.bin'])
}

test('an upload goes on by itself after the connections were cut, and after the daemon was killed', async () => {
  const bytes = 1024 * MIB
  await using source = await makeSource(bytes)
  await using files = await openUploads({ relayed: true, restarts: true })
  const { page, daemon, drop } = files
  const sent: number[] = []
  page.on('request', (request) => {
    if (request.method() === 'PATCH') sent.push(Number(request.headers()['upload-offset']))
  })
  await drop([source.path])
  await whenCome(files, 100 * MIB)
  files.cut()
  await expect.poll(() => sent.length).toBe(2)
  await whenCome(files, 300 * MIB)
  process.kill(daemon.pid, 'SIGKILL')
  await expectWhole(files, bytes)
  expect(sent.length).toBeGreaterThan(2)
  expect(sent[0]).toBe(0)
  expect(sent[1]).toBeGreaterThan(60 * MIB)
  expect(sent.at(-1)).toBeGreaterThan(260 * MIB)
})

test('a piece that does not follow what has come is answered with 409, and sent again from there', async () => {
  const bytes = 2 * MIB
  await using source = await makeSource(bytes)
  await using files = await openUploads()
  const { page, drop } = files
  const seen: string[] = []
  page.on('response', (response) => seen.push(`${response.request().method()} ${response.status()}`))
  // The first piece says another offset than that of the upload, as when a crash has taken what was acknowledged.
  await page.evaluate(`{
    const { setRequestHeader } = XMLHttpRequest.prototype
    XMLHttpRequest.prototype.setRequestHeader = function (name, value) {
      const first = name === 'Upload-Offset' && window.lied === undefined
      if (first) window.lied = true
      setRequestHeader.call(this, name, first ? '17' : value)
    }
  }`)
  await drop([source.path])
  await expectWhole(files, bytes)
  expect(seen.filter((text) => /PATCH|HEAD/.test(text))).toEqual(['PATCH 409', 'HEAD 200', 'PATCH 204'])
})

test('an upload is paused, and goes on where it was, also on a page that was loaded anew', async () => {
  const bytes = 1024 * MIB
  await using source = await makeSource(bytes)
  await using files = await openUploads()
  const { page, dir, drop, grid } = files
  const offsets: number[] = []
  page.on('request', (request) => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']))
  })
  await drop([source.path])
  await whenCome(files, 100 * MIB)
  await page.getByRole('button', { name: 'Pause large.bin' }).click()
  await page.getByText(/^Paused at/).waitFor()
  const has = async () => (await stat(`${dir}/${(await readdir(dir))[0]}`)).size
  await page.getByRole('button', { name: 'Go on with large.bin' }).click()
  await whenCome(files, (await has()) + 50 * MIB)
  await page.getByRole('button', { name: 'Pause large.bin' }).click()
  await page.getByText(/^Paused at/).waitFor()
  page.on('dialog', (dialog) => void dialog.accept())
  await page.reload()
  await grid.waitFor()
  await drop([source.path])
  await expectWhole(files, bytes)
  expect(offsets).toHaveLength(3)
  expect(offsets[0]).toBe(0)
  expect(offsets[1]).toBeGreaterThan(60 * MIB)
  expect(offsets[2]).toBeGreaterThan((offsets[1] ?? 0) + 10 * MIB)
})

test('an upload that is cancelled leaves nothing, whether it is made, sent, paused or waits for the daemon', async () => {
  await using source = await makeSource(4096 * MIB)
  await using files = await openUploads({ relayed: true })
  const { page, drop, leftovers } = files
  const cancel = () => page.getByRole('button', { name: 'Cancel large.bin' }).click()
  const close = () => page.getByRole('button', { name: 'Close', exact: true }).click()
  await drop([source.path])
  await cancel()
  await expect.poll(leftovers).toEqual([])
  await close()
  await drop([source.path])
  await whenCome(files, 50 * MIB)
  await cancel()
  await expect.poll(leftovers).toEqual([])
  await close()
  await drop([source.path])
  await whenCome(files, 10 * MIB)
  await page.getByRole('button', { name: 'Pause large.bin' }).click()
  await page.getByText(/^Paused at/).waitFor()
  await cancel()
  await expect.poll(leftovers).toEqual([])
  await close()
  await drop([source.path])
  await whenCome(files, 10 * MIB)
  const restore = files.vanish()
  await page.getByText('Waiting for the sandbox to answer').waitFor()
  await cancel()
  restore()
  await expect.poll(leftovers).toEqual([])
})

test('small files are sent again after the answer was lost, and none is asked about that has come', async () => {
  await using source = await makeTmpDir()
  const paths = Array.from({ length: 20 }, (_, index) => `${source.path}/small-${index}`)
  for (const path of paths) await writeFile(path, path)
  await using files = await openUploads()
  const { page, dir, drop } = files
  const lost = new Set<string>()
  await page.route('**/files?*', async (route) => {
    const url = route.request().url()
    if (route.request().method() !== 'POST' || lost.has(url)) return route.continue()
    lost.add(url)
    if (lost.size % 2 === 0) await route.fetch()
    return route.abort('connectionreset')
  })
  await drop(paths)
  await page.getByText('Uploaded 20 files').waitFor({ timeout: 60_000 })
  expect(lost.size).toBe(20)
  for (const path of paths) expect(await readFile(`${dir}/${path.split('/').at(-1)}`, 'utf8')).toBe(path)
  expect(await readdir(dir)).toHaveLength(20)
})

test('a file that appears while another one of its name comes is asked about', async () => {
  const bytes = 300 * MIB
  await using source = await makeSource(bytes)
  await using files = await openUploads()
  const { page, dir, drop } = files
  await drop([source.path])
  await whenCome(files, 10 * MIB)
  await writeFile(`${dir}/large.bin`, 'theirs')
  await page.getByRole('button', { name: 'Replace large.bin' }).waitFor({ timeout: 30_000 })
  expect(await readFile(`${dir}/large.bin`, 'utf8')).toBe('theirs')
  expect(await readdir(dir)).toEqual(['large.bin'])
  await page.getByRole('button', { name: 'Replace large.bin' }).click()
  await expectWhole(files, bytes)
})
