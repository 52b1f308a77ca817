import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsNamespace } from '../../_util/namespace.ts'
import { OCTETS, startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'

const MODES = ['overwrite', 'atomic', 'create', 'append'] as const

/** The access control list `user::rw-,user:12345:rwx,group::r--,mask::rwx,other::r--` as the kernel keeps it (acl(5)). */
const ACL = Buffer.from(
  '0200000001000600ffffffff020007003930000004000400ffffffff10000700ffffffff20000400ffffffff',
  'hex',
).toString('base64')

test('a filesystem that is read-only: every mode says so, and nothing changes', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const disk = join(files.dir, 'disk')
  await mkdir(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=777', 'tmpfs', disk])
  try {
    await writeFile(join(disk, 'f'), 'old')
    execFileSync('mount', ['-o', 'remount,ro', disk])
    for (const mode of MODES)
      for (const name of mode === 'create' ? ['new'] : ['f', 'new']) {
        const { status, text } = await files.post({ path: join(disk, name), mode }, 'x', OCTETS)
        const status_ = mode === 'atomic' || mode === 'create' ? 409 : 500
        expect([mode, name, status, text]).toEqual([mode, name, status_, expect.stringContaining('read-only')])
      }
    expect(await readdir(disk)).toEqual(['f'])
    expect(await readFile(join(disk, 'f'), 'utf8')).toBe('old')
  } finally {
    execFileSync('umount', ['-l', disk])
  }
})

test('a directory that takes no files of the user: a file in it can be written in place, and not in one step', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront({ strictFileUsers: true })
  const { uid, gid } = files.people.ann
  const dir = join(files.dir, 'closed')
  await mkdir(dir)
  await writeFile(join(dir, 'f'), 'old')
  execFileSync('chown', [`${uid}:${gid}`, join(dir, 'f')])
  const post = (mode: string, name = 'f') => files.post({ path: join(dir, name), mode }, 'new', OCTETS)
  const atomic = await post('atomic')
  expect([atomic.status, atomic.text]).toEqual([403, expect.stringContaining('"message"')])
  for (const mode of MODES) expect([mode, (await post(mode, 'other')).status]).toEqual([mode, 403])
  expect(await readFile(join(dir, 'f'), 'utf8')).toBe('old')
  expect((await post('append')).status).toBe(200)
  expect((await post('overwrite')).status).toBe(200)
  expect(await readFile(join(dir, 'f'), 'utf8')).toBe('new')
  expect(await readdir(dir)).toEqual(['f'])
})

test('access control lists and attributes of others stay with a file, in every mode that writes over it', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const python = (code: string) =>
    execFileSync('python3', ['-c', `import os,sys,base64\n${code}`, path, ACL]).toString()
  const read = () =>
    python(`print(base64.b64encode(os.getxattr(sys.argv[1], 'system.posix_acl_access')).decode(), oct(os.stat(sys.argv[1]).st_mode))
print(os.getxattr(sys.argv[1], 'user.mine'), os.getxattr(sys.argv[1], 'trusted.theirs'))`)
  await writeFile(path, 'old')
  try {
    python(`os.setxattr(sys.argv[1], 'system.posix_acl_access', base64.b64decode(sys.argv[2]))
os.setxattr(sys.argv[1], 'user.mine', b'1'); os.setxattr(sys.argv[1], 'trusted.theirs', b'2')`)
  } catch {
    context.skip('this filesystem has no such attributes')
  }
  const before = read()
  for (const content of ['short', 'long '.repeat(50_000)])
    for (const mode of ['overwrite', 'atomic', 'append']) {
      expect((await files.post({ path, mode }, content, OCTETS)).status).toBe(200)
      expect([mode, read()]).toEqual([mode, before])
    }
})

test('mode=append: of 20 clients at the same time, each in many pieces, up to 64 KiB are in one piece, and no byte is lost', async () => {
  await using files = await startFilesFront()
  const letters = [...'abcdefghijklmnopqrst']
  for (const bytes of [60_000, 160_000]) {
    const path = join(files.dir, `f${bytes}`)
    const append = async (letter: string) => {
      using client = await connectRaw(files.front.port)
      const head = `Host: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: ${bytes}\r\n\r\n`
      client.write(`POST /files?path=${path}&mode=append HTTP/1.1\r\n${head}`)
      for (let at = 0; at < bytes; at += 4000)
        await new Promise((resolve) => client.socket.write(letter.repeat(4000), resolve))
      await expect.poll(() => client.received()).toContain('200 OK')
    }
    await Promise.all(letters.map(append))
    const content = await readFile(path, 'latin1')
    expect(content.length).toBe(letters.length * bytes)
    const runs = content.match(/(.)\1*/g) ?? []
    for (const letter of letters) {
      const own = runs.filter((run) => run[0] === letter)
      expect(own.reduce((sum, run) => sum + run.length, 0)).toBe(bytes)
      if (bytes <= 64 * 1024) expect(own.length).toBe(1)
    }
  }
})

test('B20 a file that another process has written just before has a strong tag, each time', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  for (let count = 0; count < 100; count++) {
    await writeFile(path, String(count))
    expect((await files.get({ path })).headers['etag']).toMatch(/^"/)
  }
})
