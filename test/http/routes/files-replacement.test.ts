import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { chmod, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { needsNamespace } from '../../_util/namespace.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { type FilesFront, OCTETS, startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'

const OLD = 'what was there\n'.repeat(1000)

/** Sizes of uploads: what waits in memory, what is staged beside the file, and what is copied in several pieces. */
const SIZES = [1, 60_000, 300_000, 70 * 1024 * 1024]

function content(bytes: number): Buffer {
  return Buffer.alloc(bytes, 'the new content, which is another one ')
}

function head(path: string, framing: string, type = 'application/octet-stream'): string {
  return `POST /files?path=${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\n${framing}\r\n\r\n`
}

const FORM = 'multipart/form-data; boundary=x'
const PART = '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'

async function existing(files: FilesFront): Promise<string> {
  const path = join(files.dir, 'f')
  await writeFile(path, OLD)
  return path
}

describe('an upload over a file', () => {
  test.each(SIZES)(
    'B39 of %i bytes keeps inode, links and mode, and has the new content',
    async (bytes) => {
      await using files = await startFilesFront()
      const path = await existing(files)
      linkSync(path, join(files.dir, 'link'))
      await chmod(path, 0o751)
      const { ino } = await stat(path)
      expect((await files.post({ path }, content(bytes))).status).toBe(200)
      expect((await readFile(join(files.dir, 'link'))).equals(content(bytes))).toBe(true)
      expect(await stat(path)).toMatchObject({ ino, nlink: 2, mode: 0o100751, size: bytes })
      expect(await names(files.dir)).toEqual(['f', 'link'])
    },
    30_000,
  )

  test.each([
    ['a raw body', 10, 'application/octet-stream'],
    ['a long raw body', 300_000, 'application/octet-stream'],
    ['a form', 10, FORM],
    ['a long form', 300_000, FORM],
  ])('of %s that is cut off leaves the old content', async (_, bytes, type) => {
    for (const framing of ['content-length: 100000000', 'transfer-encoding: chunked']) {
      await using files = await startFilesFront()
      const path = await existing(files)
      const { mtimeMs } = await stat(path)
      const client = await connectRaw(files.front.port)
      client.write(head(path, framing, type))
      const body = Buffer.concat([Buffer.from(type === FORM ? PART : ''), content(bytes)])
      if (framing.startsWith('t')) client.write(`${body.length.toString(16)}\r\n`)
      await new Promise((resolve) => client.socket.write(body, resolve))
      await expect.poll(() => openFiles(files.dir)).not.toEqual([])
      if (bytes > 100_000) await expect.poll(() => openFiles(files.dir)).toHaveLength(2)
      client.socket.resetAndDestroy()
      await expect.poll(() => openFiles(files.dir)).toEqual([])
      expect(await readFile(path, 'utf8')).toBe(OLD)
      expect((await stat(path)).mtimeMs).toBe(mtimeMs)
      expect(await names(files.dir)).toEqual(['f'])
    }
  })

  test('of a gzip body that ends too early leaves the old content, also when it was short', async () => {
    await using files = await startFilesFront()
    const path = await existing(files)
    const body = gzipSync(content(1_000_000)).subarray(0, -20)
    const { status } = await files.post({ path }, body, { ...OCTETS, 'content-encoding': 'gzip' })
    expect(status).toBe(500)
    expect(await readFile(path, 'utf8')).toBe(OLD)
  })

  test('leaves the old content when the daemon is killed', async () => {
    await using dir = await makeTmpDir()
    const path = join(dir.path, 'f')
    await writeFile(path, OLD)
    const daemon = await startDaemon()
    const client = await connectRaw(daemon.port)
    client.write(head(path, 'content-length: 100000000'))
    await new Promise((resolve) => client.socket.write(content(5_000_000), resolve))
    await expect.poll(() => openFiles(dir.path, daemon.pid)).toHaveLength(2)
    process.kill(daemon.launched, 'SIGKILL')
    await daemon.ended
    expect(await readFile(path, 'utf8')).toBe(OLD)
    expect(await readdir(dir.path)).toEqual(['f'])
  })

  test('without an end does not hold what it sends in memory, however many there are', async () => {
    await using files = await startFilesFront()
    const clients = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const path = join(files.dir, `f${index}`)
        await writeFile(path, OLD)
        const client = await connectRaw(files.front.port)
        client.write(head(path, 'content-length: 100000000'))
        await new Promise((resolve) => client.socket.write(content(60_000), resolve))
        return client
      }),
    )
    // 200 of 60 KB are more than all uploads may hold: the rest is on the disk.
    await expect.poll(async () => (await openFiles(files.dir)).length).toBeGreaterThan(220)
    for (const client of clients) client.socket.resetAndDestroy()
    await expect.poll(() => openFiles(files.dir)).toEqual([])
    const path = join(files.dir, 'f0')
    expect((await files.post({ path }, content(60_000))).status).toBe(200)
    expect((await readFile(path)).equals(content(60_000))).toBe(true)
  })
})

describe('where nothing can be staged beside the file an upload is written in place', () => {
  test('a file that is mounted alone', async (context) => {
    needsNamespace(context)
    await using dir = await makeTmpDir()
    const [source, path] = [join(dir.path, 'elsewhere'), join(dir.path, 'mounted')]
    mkdirSync(source)
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', source])
    writeFileSync(join(source, 'f'), OLD)
    writeFileSync(path, '')
    execFileSync('mount', ['--bind', join(source, 'f'), path])
    try {
      await using daemon = await startDaemon()
      const url = `${daemon.url}/files?path=${path}&username=root`
      const { status } = await sendWhole(url, { method: 'POST', body: content(300_000), headers: OCTETS })
      expect(status).toBe(200)
      expect((await readFile(path)).equals(content(300_000))).toBe(true)
    } finally {
      execFileSync('umount', [path])
      execFileSync('umount', [source])
    }
  })

  test('a disk that has no room for both contents', async (context) => {
    needsNamespace(context)
    await using dir = await makeTmpDir()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', dir.path])
    try {
      const path = join(dir.path, 'f')
      writeFileSync(path, content(30 * 1024 * 1024))
      await using daemon = await startDaemon()
      const body = content(31 * 1024 * 1024)
      const url = `${daemon.url}/files?path=${path}&username=root`
      expect((await sendWhole(url, { method: 'POST', body, headers: OCTETS })).status).toBe(200)
      expect((await readFile(path)).equals(body)).toBe(true)
      // With room for both beside each other it never takes more than that.
      expect((await sendWhole(url, { method: 'POST', body: content(1000), headers: OCTETS })).status).toBe(200)
      expect((await sendWhole(url, { method: 'POST', body: body.subarray(0, 2 ** 24), headers: OCTETS })).status).toBe(
        200,
      )
      expect((await readFile(path)).equals(body.subarray(0, 2 ** 24))).toBe(true)
    } finally {
      execFileSync('umount', ['-l', dir.path])
    }
  })
})

/** The names in a front's directory but for those that it makes itself. */
async function names(dir: string): Promise<string[]> {
  const own = ['group', 'home', 'passwd']
  return (await readdir(dir)).filter((name) => !own.includes(name)).toSorted()
}

/** The files below a directory that a process has open; default: this one, which is the server here. */
async function openFiles(dir: string, pid = process.pid): Promise<string[]> {
  const descriptors = await readdir(`/proc/${pid}/fd`)
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  return targets.filter((target) => target.startsWith(`${dir}/`))
}
