import { mkdir, readdir, readFile, rename, rmdir, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { OCTETS, startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'
import { openFilesBelow, unnamedBelow } from '../open-below.ts'

test('B45 a new file is at its name when all of it has come, and nothing is beside it before', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  using client = await connectRaw(files.front.port)
  client.write(head(path, 'content-length: 10'))
  client.write('12345')
  await expect.poll(() => unnamedBelow(files.dir)).toEqual(['12345'])
  expect(await names(files.dir)).toEqual([])
  client.write('67890')
  await expect.poll(() => client.received()).toContain('200 OK')
  expect(await readFile(path, 'utf8')).toBe('1234567890')
  expect(await openFilesBelow(files.dir)).toBe(0)
})

test('what has taken the name meanwhile keeps its inode and gets the content', async () => {
  await using files = await startFilesFront()
  for (const body of [Buffer.from('12345'), Buffer.alloc(3_000_000, 'x')]) {
    const path = join(files.dir, `f${body.length}`)
    using client = await connectRaw(files.front.port)
    client.write(head(path, `content-length: ${body.length}`))
    client.write(body.subarray(0, 3))
    await expect.poll(() => unnamedBelow(files.dir)).toHaveLength(1)
    await writeFile(path, 'another one was faster')
    const { ino } = await stat(path)
    client.write(body.subarray(3))
    await expect.poll(() => client.received()).toContain('200 OK')
    expect((await readFile(path)).equals(body)).toBe(true)
    expect((await stat(path)).ino).toBe(ino)
    expect(await openFilesBelow(files.dir)).toBe(0)
  }
})

test('a directory that is removed or renamed meanwhile: the file is in the new one, or where the old one went', async () => {
  await using files = await startFilesFront()
  for (const goes of [true, false]) {
    const dir = join(files.dir, `d${goes}`)
    await mkdir(dir)
    using client = await connectRaw(files.front.port)
    client.write(head(join(dir, 'f'), 'content-length: 10'))
    client.write('12345')
    await expect.poll(() => unnamedBelow(files.dir)).toHaveLength(1)
    if (goes) await rmdir(dir)
    else await rename(dir, `${dir}2`)
    client.write('67890')
    await expect.poll(() => client.received()).toContain('200 OK')
    expect(await readFile(join(goes ? dir : `${dir}2`, 'f'), 'utf8')).toBe('1234567890')
    expect(await openFilesBelow(files.dir)).toBe(0)
  }
})

/** How a client leaves. */
const LEAVES = {
  'by a reset': (socket: Socket) => socket.resetAndDestroy(),
  'by closing': (socket: Socket) => socket.destroy(),
  'by closing its side': (socket: Socket) => socket.end(),
}

describe.each(Object.entries(LEAVES))('a client that leaves in the middle %s', (_how, leave) => {
  test.each(['content-length: 10', 'transfer-encoding: chunked'])(
    'leaves nothing, and is noticed at once (%s)',
    async (framing) => {
      await using files = await startFilesFront()
      const client = await connectRaw(files.front.port)
      client.write(head(join(files.dir, 'f'), framing))
      client.write(framing.startsWith('t') ? '5\r\n12345\r\n' : '12345')
      await expect.poll(() => unnamedBelow(files.dir)).toEqual(['12345'])
      leave(client.socket)
      // Unread bytes of a client that still sends are waited for for 5 s.
      await expect.poll(() => openFilesBelow(files.dir), { timeout: 3000 }).toBe(0)
      expect(client.received()).not.toContain('200 OK')
      expect(await names(files.dir)).toEqual([])
    },
  )

  test('leaves what was there, and of a form the files before', async () => {
    await using files = await startFilesFront()
    const existing = join(files.dir, 'existing')
    await writeFile(existing, 'what was there')
    const part = (name: string, text: string) =>
      `--x\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n${text}`
    const form = `${part('one', 'first')}\r\n${part(existing, '12345')}`
    for (const [type, body] of [
      ['application/octet-stream', '12345'],
      ['multipart/form-data; boundary=x', form],
    ] as const) {
      const client = await connectRaw(files.front.port)
      client.write(head(type.startsWith('m') ? '' : existing, 'content-length: 1000', type).replace('?path= ', ' '))
      client.write(body)
      await expect.poll(() => openFilesBelow(files.dir)).toBe(1)
      leave(client.socket)
      await expect.poll(() => openFilesBelow(files.dir), { timeout: 3000 }).toBe(0)
      expect(await readFile(existing, 'utf8')).toBe('what was there')
    }
  })
})

test('an upload over HTTP/2 that is given up leaves no file', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const session = connect(files.front.url)
  session.on('error', () => {})
  const stream = session.request({ ':method': 'POST', ':path': `/files?path=${path}`, ...OCTETS })
  stream.on('error', () => {})
  stream.write('12345')
  await expect.poll(() => unnamedBelow(files.dir)).toEqual(['12345'])
  session.destroy()
  await expect.poll(() => openFilesBelow(files.dir)).toBe(0)
  expect(await names(files.dir)).toEqual([])
})

test('a daemon that is killed in the middle leaves nothing under the name, nor beside it', async () => {
  await using dir = await makeTmpDir()
  const daemon = await startDaemon()
  const clients = await Promise.all(
    ['raw', 'form', 'new/dir/raw'].map(async (name) => {
      const client = await connectRaw(daemon.port)
      const type = name === 'form' ? 'multipart/form-data; boundary=x' : undefined
      client.write(head(join(dir.path, name), 'content-length: 100000000', type))
      if (type !== undefined) client.write('--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n')
      client.write(Buffer.alloc(2_000_000, 'x'))
      return client
    }),
  )
  await expect.poll(() => unnamedBelow(dir.path, daemon.pid).then((files) => files.length)).toBe(3)
  process.kill(daemon.launched, 'SIGKILL')
  await daemon.ended
  for (const client of clients) client.socket.destroy()
  const left = await readdir(dir.path, { recursive: true, withFileTypes: true })
  expect(left.filter((entry) => entry.isFile())).toEqual([])
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

/** What is in a front's directory but for what it makes itself. */
async function names(dir: string): Promise<string[]> {
  const own = ['group', 'home', 'passwd']
  return (await readdir(dir)).filter((name) => !own.includes(name))
}
