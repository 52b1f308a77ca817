import { readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { OCTETS, startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'

test('B45 an upload that is under way can be seen in the file itself', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  using client = await connectRaw(files.front.port)
  client.write(head(path, 'content-length: 10'))
  client.write('12345')
  await expect.poll(() => readFile(path, 'utf8').catch(() => '')).toBe('12345')
  client.write('67890')
  await expect.poll(() => client.received()).toContain('200 OK')
  expect(await readFile(path, 'utf8')).toBe('1234567890')
})

test('a connection that breaks in an upload is no success, and leaves no file open', async () => {
  await using files = await startFilesFront()
  const bodies = ['content-length: 10', 'transfer-encoding: chunked']
  for (const [i, framing] of bodies.entries()) {
    const path = join(files.dir, `f${i}`)
    const client = await connectRaw(files.front.port)
    client.write(head(path, framing))
    client.write(framing.startsWith('t') ? '5\r\n12345\r\n' : '12345')
    await expect.poll(() => readFile(path, 'utf8').catch(() => '')).toBe('12345')
    client.socket.resetAndDestroy()
    await expect.poll(() => openFilesBelow(files.dir)).toBe(0)
    expect(client.received()).toBe('')
  }
})

test('what was cut off is not left as if it were whole', async () => {
  await using files = await startFilesFront()
  const existing = join(files.dir, 'existing')
  await writeFile(existing, 'what was there')
  const part = '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n12345'
  for (const [path, type] of [
    [join(files.dir, 'raw')],
    [join(files.dir, 'made/form'), 'multipart/form-data; boundary=x'],
    [existing],
  ] as const) {
    const client = await connectRaw(files.front.port)
    client.write(head(path, 'content-length: 1000', type))
    client.write(type === undefined ? '12345' : part)
    if (path === existing) await expect.poll(() => openFilesBelow(files.dir)).toBe(1)
    else await expect.poll(() => readFile(path, 'utf8').catch(() => '')).toBe('12345')
    client.socket.resetAndDestroy()
    await expect.poll(() => openFilesBelow(files.dir)).toBe(0)
    const left = await readFile(path, 'utf8').catch(() => undefined)
    expect(left).toBe(path === existing ? 'what was there' : undefined)
  }
})

test('an upload over HTTP/2 that is given up leaves no file open', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const session = connect(files.front.url)
  session.on('error', () => {})
  const stream = session.request({ ':method': 'POST', ':path': `/files?path=${path}`, ...OCTETS })
  stream.on('error', () => {})
  stream.write('12345')
  await expect.poll(() => readFile(path, 'utf8').catch(() => '')).toBe('12345')
  session.destroy()
  await expect.poll(() => openFilesBelow(files.dir)).toBe(0)
})

test('any bytes and none at all arrive as they are, over both versions of HTTP', async () => {
  await using files = await startFilesFront()
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 256))
  const path = join(files.dir, 'f')
  for (const http2 of [false, true]) {
    for (const body of [bytes, Buffer.from('\ufeffBOM'), Buffer.alloc(0)]) {
      const url = `${files.front.url}/files?path=${path}`
      const answer = await sendWhole(url, { method: 'POST', headers: OCTETS, body, http2 })
      expect(answer.status).toBe(200)
      expect((await readFile(path)).equals(body)).toBe(true)
    }
  }
})

test('an early answer to a body that is still being sent can be read, and the connection goes on', async () => {
  await using files = await startFilesFront()
  using client = await connectRaw(files.front.port)
  const size = 8 * 1024 * 1024
  client.write(head(files.dir, `content-length: ${size}`))
  await expect.poll(() => client.received()).toContain('path is a directory')
  client.write(Buffer.alloc(size))
  client.write(head(join(files.dir, 'next'), 'content-length: 2'))
  client.write('ok')
  await expect.poll(() => client.received()).toContain('200 OK')
  expect(await readFile(join(files.dir, 'next'), 'utf8')).toBe('ok')
})

function head(path: string, framing: string, type = 'application/octet-stream'): string {
  const target = `/files?path=${encodeURIComponent(path)}`
  return `POST ${target} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\n${framing}\r\n\r\n`
}

async function openFilesBelow(dir: string): Promise<number> {
  const descriptors = await readdir('/proc/self/fd')
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return targets.filter((target) => target.startsWith(`${dir}/`)).length
}
