import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Upload, type UploadOptions } from 'tus-js-client'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { crash, startKept } from '../keeper/crash.ts'
import { startCuttingProxy } from './cutting-proxy.ts'

/** `ENVD_UPLOAD_BYTES=1073741824` for the long form. */
const BYTES = Number(process.env['ENVD_UPLOAD_BYTES'] ?? 32 * 1024 * 1024)
const CUTS = 20
const TUSPY = `${process.cwd()}/.cache/python/tuspy`

/** A file of random bytes, and their SHA-256. */
async function makeFile(path: string, bytes: number): Promise<string> {
  const file = await open(path, 'w')
  const hash = createHash('sha256')
  for (let left = bytes; left > 0; left -= 1024 * 1024) {
    const chunk = randomBytes(Math.min(left, 1024 * 1024))
    hash.update(chunk)
    await file.write(chunk)
  }
  await file.close()
  return hash.digest('hex')
}

async function digestOf(path: string): Promise<string> {
  const file = await open(path)
  const hash = createHash('sha256')
  for await (const chunk of file.createReadStream()) hash.update(chunk)
  return hash.digest('hex')
}

/** Uploads by tus-js-client; resolves with its URL. */
async function uploadFile(path: string, options: UploadOptions): Promise<string> {
  const file = await open(path)
  try {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const delays = { retryDelays: Array.from({ length: 50 }, () => 20) }
    const upload = new Upload(file.createReadStream({ autoClose: false }), {
      ...delays,
      ...options,
      onError: reject,
      onSuccess: () => resolve(),
    })
    upload.start()
    await promise
    return upload.url ?? ''
  } finally {
    await file.close()
  }
}

test(`tus-js-client: an upload that is cut ${CUTS} times arrives whole`, { timeout: 600_000 }, async () => {
  await using tmp = await makeTmpDir()
  await using daemon = await startDaemon()
  await using proxy = await startCuttingProxy(daemon.port, Math.floor(BYTES / (CUTS + 1)), CUTS)
  const [source, path] = [join(tmp.path, 'source'), join(tmp.path, 'sub', 'target')]
  const digest = await makeFile(source, BYTES)
  await uploadFile(source, {
    endpoint: `${proxy.url}/uploads?${new URLSearchParams({ path, chmod: '0600' })}`,
    uploadSize: BYTES,
    chunkSize: BYTES,
    headers: { 'x-metadata-key': 'value' },
  })
  expect(proxy.cuts).toBe(CUTS)
  expect(await digestOf(path)).toBe(digest)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(join(tmp.path, 'sub'))).toEqual(['target'])
})

test('tus-js-client: a stream whose length is not known arrives whole', async () => {
  await using dir = await makeTmpDir()
  await using daemon = await startDaemon()
  const digest = await makeFile(join(dir.path, 'source'), 3_000_001)
  const endpoint = `${daemon.url}/uploads?username=root&path=${join(dir.path, 'f')}`
  await uploadFile(join(dir.path, 'source'), { endpoint, uploadLengthDeferred: true, chunkSize: 1_000_000 })
  expect(await digestOf(join(dir.path, 'f'))).toBe(digest)
})

test('tus-js-client: parallel uploads are joined', async () => {
  await using tmp = await makeTmpDir()
  await using daemon = await startDaemon()
  const path = join(tmp.path, 'target')
  const content = randomBytes(5_000_001)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const upload = new Upload(content, {
    endpoint: `${daemon.url}/uploads`,
    metadata: { filename: path },
    parallelUploads: 3,
    onError: reject,
    onSuccess: () => resolve(),
  })
  upload.start()
  await promise
  expect((await readFile(path)).equals(content)).toBe(true)
  expect(await readdir(tmp.path)).toEqual(['target'])
})

test('tus-js-client: an upload goes on with the daemon after one that was killed', async () => {
  await using tmp = await makeTmpDir()
  await using daemon = await startKept()
  const [source, path] = [join(tmp.path, 'source'), join(tmp.path, 'target')]
  const bytes = 64 * 1024 * 1024
  const digest = await makeFile(source, bytes)
  let crashed: Promise<void> | undefined
  await uploadFile(source, {
    endpoint: `${daemon.url}/uploads?${new URLSearchParams({ path })}`,
    uploadSize: bytes,
    chunkSize: 8 * 1024 * 1024,
    onChunkComplete: (_size, accepted) => {
      if (accepted >= bytes / 2) crashed ??= crash(daemon)
    },
  })
  await crashed
  expect(crashed).toBeDefined()
  expect(await digestOf(path)).toBe(digest)
  expect((await readdir(tmp.path)).sort()).toEqual(['source', 'target'])
})

test('the offset after a crash is what was acknowledged, and what came later is sent again', async () => {
  await using tmp = await makeTmpDir()
  await using daemon = await startKept()
  const headers = { 'tus-resumable': '1.0.0' }
  const target = `${daemon.url}/uploads?${new URLSearchParams({ path: join(tmp.path, 'f') })}`
  const made = await sendWhole(target, { method: 'POST', headers: { ...headers, 'upload-length': '6' } })
  const url = `${daemon.url}${made.headers['location']}`
  const piece = { ...headers, 'content-type': 'application/offset+octet-stream' }
  await sendWhole(url, { method: 'PATCH', headers: { ...piece, 'upload-offset': '0' }, body: 'abc' })
  // As if the daemon had ended in the middle of a piece.
  const [name = ''] = await readdir(tmp.path)
  const file = await open(join(tmp.path, name), 'a')
  await file.write('xy')
  await file.close()
  await crash(daemon)
  const found = await sendWhole(url, { method: 'HEAD', headers })
  expect(found.headers['upload-offset']).toBe('3')
  await sendWhole(url, { method: 'PATCH', headers: { ...piece, 'upload-offset': '3' }, body: 'def' })
  expect(await readFile(join(tmp.path, 'f'), 'utf8')).toBe('abcdef')
  await crash(daemon)
  expect((await sendWhole(url, { method: 'HEAD', headers })).headers['upload-offset']).toBe('6')
})

test('tuspy uploads with checksums, and resumes', async (context) => {
  if (!existsSync(`${TUSPY}/installed.txt`)) context.skip(`no tuspy: ${whyNot()}`)
  await using tmp = await makeTmpDir()
  await using daemon = await startDaemon()
  const [source, path] = [join(tmp.path, 'source'), join(tmp.path, 'target')]
  const digest = await makeFile(source, 3_000_000)
  const url = `${daemon.url}/uploads?${new URLSearchParams({ path })}`
  await promisify(execFile)(`${TUSPY}/bin/python`, ['test/e2e/python/tus.py', url, source, '500000'])
  expect(await digestOf(path)).toBe(digest)
})

function whyNot(): string {
  return existsSync(`${TUSPY}.unavailable`)
    ? readFileSync(`${TUSPY}.unavailable`, 'utf8').trim()
    : 'scripts/python-environments was not run'
}
