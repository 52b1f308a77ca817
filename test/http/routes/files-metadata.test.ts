import { execFileSync, spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsNamespace } from '../../_util/namespace.ts'
import { type FilesFront, failed, OCTETS, startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'

test('B46 B47 B48 B50 metadata is kept with the file and replaced as a whole', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const [first] = await put(files, path, { 'X-Metadata-Foo': 'bar', 'x-metadata-empty': '' })
  expect(first?.metadata).toEqual({ foo: 'bar', empty: '' })
  execFileSync('python3', ['-c', 'import os,sys; os.setxattr(sys.argv[1], "user.mine", b"kept")', path])
  const [second] = await put(files, path, { 'x-metadata-other': 'x' })
  expect(second?.metadata).toEqual({ other: 'x' })
  const [third] = await put(files, path, {})
  expect(third).not.toHaveProperty('metadata')
  const names = execFileSync('python3', ['-c', 'import os,sys; print(os.listxattr(sys.argv[1]))', path], {
    encoding: 'utf8',
  })
  expect(names.trim()).toBe("['user.mine']")
})

test('B46 of several values the first counts, an empty key none, and every file of a form gets them', async () => {
  await using files = await startFilesFront()
  using client = await connectRaw(files.front.port)
  const body = form([
    ['file', join(files.dir, 'a'), '1'],
    ['file', join(files.dir, 'b'), '2'],
  ])
  client.write(
    `POST /files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: ${body.length}\r\n` +
      `x-metadata-k: 1\r\nX-METADATA-K: 2\r\nx-metadata-: 3\r\nconnection: close\r\n\r\n${body}`,
  )
  const json = (await client.closed).split('\r\n\r\n')[1] ?? ''
  expect(JSON.parse(json)).toMatchObject([{ metadata: { k: '1' } }, { metadata: { k: '1' } }])
})

test('B47 metadata that is too long or not printable is refused before anything is written', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const post = (headers: Record<string, string>) => files.post({ path }, 'x', { ...OCTETS, ...headers })
  const long = 'k'.repeat(247)
  expect(await post({ [`x-metadata-${long}`]: 'v' })).toMatchObject(
    failed(400, `invalid metadata: metadata key "${long}" exceeds 246 bytes`),
  )
  expect(await post({ 'x-metadata-foo': '\xc3\xbc' })).toMatchObject(
    failed(400, 'invalid metadata: metadata value for key "foo" contains non-printable-ASCII byte 0xc3 at offset 0'),
  )
  expect(await post({ 'x-metadata-foo': 'v'.repeat(4094) })).toMatchObject(
    failed(400, 'invalid metadata: total metadata size 4106 exceeds 4096 bytes'),
  )
  expect(await readdir(files.dir)).not.toContain('f')
  expect((await post({ [`x-metadata-${'k'.repeat(246)}`]: 'v' })).status).toBe(200)
})

test('B49 a filesystem without attributes takes the file all the same', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const child = spawn('sleep', ['60'])
  const [stored] = (await files.put(`/proc/${child.pid}/oom_score_adj`, '100', { 'x-metadata-a': 'b' })) as unknown[]
  child.kill()
  expect(stored).not.toHaveProperty('metadata')
  expect(files.logged).toContainEqual(expect.objectContaining({ level: 'warn', keys: 1 }))
})

type FormPart = readonly [name: string, filename: string | undefined, content: string]

function form(parts: readonly FormPart[]): string {
  const texts = parts.map(([name, filename, content]) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`
    return `--x\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${content}\r\n`
  })
  return `${texts.join('')}--x--\r\n`
}

async function put(files: FilesFront, path: string, headers: Record<string, string>) {
  // What the daemon answers is checked by the tests.
  return (await files.put(path, 'x', headers)) as { metadata?: Record<string, string> }[]
}
