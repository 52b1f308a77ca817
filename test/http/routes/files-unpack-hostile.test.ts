import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, symlinkSync } from 'node:fs'
import { mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { DEFAULT_ARCHIVE_LIMITS } from '../../../src/archives/limits.ts'
import { END, entryBytes, type MadeEntry, tarOf } from '../../archives/make-tar.ts'
import { type FilesFront, startFilesFront } from '../files-front.ts'

const TAR = { 'content-type': 'application/x-tar' }

/** What is there besides `out`, with inodes and times, and whatever is temporary. */
function surroundings(files: FilesFront): string {
  const script = `cd "$1" && { find . -mindepth 1 -path ./out -prune -o -mindepth 1 -printf '%P %i %s %n %T@\\n'; find . -name '.envd-*'; } | sort`
  return execFileSync('sh', ['-c', script, 'sh', files.dir], { encoding: 'latin1' })
}

/** Sends an archive, and expects its refusal, and that nothing outside `out` was touched and nothing temporary stays. */
async function refused(files: FilesFront, archive: Buffer, status: number, { headers = TAR, mode = 'overwrite' } = {}) {
  const before = surroundings(files)
  const answer = await files.post({ path: join(files.dir, 'out'), mode }, archive, headers)
  expect([answer.status, answer.text]).toEqual([status, expect.stringContaining('"message"')])
  expect(surroundings(files)).toBe(before)
  return answer.text
}

const change = (at: number, text: string) => (block: Buffer) => void block.write(text, at, 'latin1')
const file = (name: string, more: Partial<MadeEntry> = {}): MadeEntry => ({ name, content: 'evil', ...more })

const HOSTILE: Readonly<Record<string, readonly [number, ...MadeEntry[]]>> = {
  'an absolute name': [400, file('/tmp/evil')],
  'an absolute name in a record': [400, file('x', { pax: { path: '/tmp/evil' } })],
  'a name that leads up': [400, file('../evil')],
  'a name that leads up and down': [400, file('a/../../evil')],
  'a name that leads up in the end': [400, file('a/..')],
  'a prefix that leads up': [400, file('evil', { change: change(345, '../..') })],
  'a long name that leads up': [
    400,
    { name: '././@LongLink', type: 'L', content: `${'../'.repeat(50)}evil\0` },
    file('short'),
  ],
  'a name with a zero byte': [400, file('x', { pax: { path: 'a\0../evil' } })],
  'no name': [400, file('x', { change: (block) => void block.fill(0, 0, 100) })],
  'the directory as a file': [400, file('.')],
  'a file below a link that leads out': [403, { name: 'd', type: '2', link: '..' }, file('d/evil')],
  'a file below an absolute link': [403, { name: 'd', type: '2', link: '/tmp' }, file('d/evil')],
  'a file below a link of links': [
    403,
    { name: 'a', type: '2', link: 'b' },
    { name: 'b', type: '2', link: '..' },
    file('a/evil'),
  ],
  'a directory in the place of a link': [
    409,
    { name: 'd', type: '2', link: '..' },
    { name: 'd', type: '5' },
    file('d/evil'),
  ],
  'a large file below a link': [
    403,
    { name: 'd', type: '2', link: '..' },
    file('d/evil', { content: Buffer.alloc(100_000) }),
  ],
  'a file with holes below a link': [
    403,
    { name: 'd', type: '2', link: '..' },
    file('d/evil', { content: 'x', pax: { 'GNU.sparse.size': '9', 'GNU.sparse.map': '8,1' } }),
  ],
  'a hard link to what is outside': [400, { name: 'twin', type: '1', link: '../secret' }],
  'a hard link to an absolute name': [400, { name: 'twin', type: '1', link: '/etc/passwd' }],
  'a hard link through a link': [
    403,
    { name: 'd', type: '2', link: '..' },
    { name: 'twin', type: '1', link: 'd/secret' },
  ],
  'a hard link to nothing': [400, { name: 'twin', type: '1', link: 'nowhere' }],
  'a hard link to the directory': [400, { name: 'twin', type: '1', link: '.' }],
  'a character device': [400, { name: 'null', type: '3' }],
  'a block device': [400, { name: 'disk', type: '4' }],
  'a pipe': [400, { name: 'pipe', type: '6' }],
  'a type that there is not': [400, { name: 'what', type: 'Z' }],
  'a negative size': [400, file('x', { size: Buffer.alloc(12, 0xff) })],
  'a size beyond numbers': [400, file('x', { size: Buffer.from('80ffffffffffffffffffffff', 'hex') })],
  'a size beyond the limit': [413, file('x', { size: Buffer.from('777777777777') })],
  'a size that is no number': [400, file('x', { size: Buffer.from('12monkeys  \0') })],
  'a record with a negative size': [400, file('x', { pax: { size: '-5' } })],
  'a wrong checksum': [400, file('x', { change: () => {} }), file('y')],
  'more components than there may be': [400, file('x', { pax: { path: 'd/'.repeat(501) } })],
  'a name that is longer than names can be': [400, file('x', { pax: { path: 'd'.repeat(300) } })],
  'a path that is longer than paths can be': [400, file('x', { pax: { path: `${'d'.repeat(200)}/`.repeat(21) } })],
  'an extended header that is too large': [400, { name: 'x', type: 'x', size: Buffer.from('00010000000\0') }],
  'a long name that is too large': [400, { name: 'x', type: 'L', size: Buffer.from('77777777777\0') }],
  'a damaged extended header': [400, { name: 'x', type: 'x', content: '99 path=x\n' }],
  'records without an end': [400, { name: 'x', type: 'x', content: '10 path=xyz' }],
  'a record without a key': [400, { name: 'x', type: 'x', content: '8 path\nx' }],
  'a time that is none': [400, file('x', { pax: { mtime: 'yesterday' } })],
  'metadata that is too large': [400, file('x', { pax: { 'SCHILY.xattr.user.e2b.k': 'v'.repeat(5000) } })],
  'metadata that is not text': [400, file('x', { pax: { 'SCHILY.xattr.user.e2b.k': Buffer.from([0, 1]) } })],
  'a directory, then a file of that name': [409, { name: 'x/', type: '5' }, file('x')],
  'a directory, then a large file of that name': [
    409,
    { name: 'x/', type: '5' },
    file('x', { content: Buffer.alloc(100_000) }),
  ],
  'a file, then a directory of that name': [409, file('x'), { name: 'x/', type: '5' }],
  'a file, then a file below it': [409, file('x'), file('x/y')],
  'holes out of order': [400, file('x', { pax: { 'GNU.sparse.size': '99', 'GNU.sparse.map': '50,2,10,2' } })],
  'holes beyond the file': [400, file('x', { pax: { 'GNU.sparse.size': '9', 'GNU.sparse.map': '8,4' } })],
  'holes with less content': [400, file('x', { pax: { 'GNU.sparse.size': '99', 'GNU.sparse.map': '8,1' } })],
  'holes beyond the limit': [
    413,
    file('x', { content: 'x', pax: { 'GNU.sparse.size': '999999999999999', 'GNU.sparse.map': '8,1' } }),
  ],
  'a map of holes without an end': [
    400,
    file('x', {
      content: Buffer.alloc(2048, '1\n'),
      pax: { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '9', 'GNU.sparse.name': 'y' },
    }),
  ],
}

for (const [title, [status, ...entries]] of Object.entries(HOSTILE)) {
  test(`${title} is refused with ${status}, and nothing outside is touched`, async () => {
    await using files = await startFilesFront()
    await writeFile(join(files.dir, 'secret'), 'the secret')
    const archive = tarOf(file('before'), ...entries)
    if (title === 'a wrong checksum') archive.write('X', 1024)
    await refused(files, archive, status)
    // What came before is whole.
    if (await stat(join(files.dir, 'out/before')).catch(() => undefined))
      expect(await readFile(join(files.dir, 'out/before'), 'utf8')).toBe('evil')
    expect((await stat(join(files.dir, 'secret'))).nlink).toBe(1)
    await refused(files, archive, status, { mode: 'replace' })
  })
}

test('an archive that ends too early is refused wherever it is cut, and leaves only what is whole', async () => {
  await using files = await startFilesFront()
  const large = Buffer.alloc(70_000, 'large')
  const archive = tarOf({ name: 'd/', type: '5' }, file('d/small'), file('d/large', { content: large }), file('last'))
  const sizes = new Set([0, 4, 70_000])
  for (let length = 0; length < archive.length - 1024; length += 511) {
    await refused(files, archive.subarray(0, length), 400)
    for (const name of await readdir(join(files.dir, 'out'), { recursive: true })) {
      const { size } = lstatSync(join(files.dir, 'out', name))
      expect([name, lstatSync(join(files.dir, 'out', name)).isDirectory() || sizes.has(size)]).toEqual([name, true])
    }
  }
  const compressed = gzipSync(archive)
  for (const body of [compressed.subarray(0, -9), compressed.subarray(0, 5), Buffer.from('no gzip at all')])
    await refused(files, body, 400, { headers: { 'content-type': 'application/gzip' } })
  for (const body of [zstdCompressSync(archive).subarray(0, -9), Buffer.from('none')])
    await refused(files, body, 400, { headers: { 'content-type': 'application/zstd' } })
})

test('what is behind the end is ignored up to a limit', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'out')
  const whole = tarOf(file('x'))
  expect((await files.post({ path }, Buffer.concat([whole, Buffer.alloc(10_000, 'garbage')]), TAR)).status).toBe(200)
  await refused(files, Buffer.concat([whole, Buffer.alloc(1_100_000)]), 400)
})

test('an archive that grows too much, has too many entries or bytes is refused with 413', async () => {
  const limits = { ...DEFAULT_ARCHIVE_LIMITS, entries: 100, bytes: 64 * 1024 * 1024 }
  await using files = await startFilesFront({ archiveLimits: limits })
  await refused(files, tarOf(...Array.from({ length: 101 }, (_, index) => file(`f${index}`))), 413)
  const zeros = entryBytes({ name: 'zeros', content: Buffer.alloc(30 * 1024 * 1024) })
  const bomb = Buffer.concat([zeros, END])
  for (const [body, type] of [
    [gzipSync(bomb), 'application/gzip'],
    [zstdCompressSync(bomb), 'application/zstd'],
  ] as const)
    await refused(files, body, 413, { headers: { 'content-type': type } })
  await refused(files, Buffer.concat([gzipSync(zeros, { level: 0 }), gzipSync(Buffer.concat([zeros, zeros]))]), 413, {
    headers: { 'content-type': 'application/gzip' },
  })
  const headers = entryBytes({ name: 'x', type: 'x', content: '' })
  const endless = Buffer.concat(Array.from({ length: 60_000 }, () => headers))
  await refused(files, zstdCompressSync(endless), 413, { headers: { 'content-type': 'application/zstd' } })
})

test('directories that are swapped for links meanwhile lead nowhere else', async () => {
  await using files = await startFilesFront()
  const [path, outside] = [join(files.dir, 'out'), join(files.dir, 'outside')]
  await mkdir(outside)
  const entries: MadeEntry[] = []
  for (let count = 0; count < 400; count++) {
    await mkdir(join(path, `d${count % 20}`), { recursive: true })
    entries.push(file(`d${count % 20}/f${count}`), file(`d${count % 20}/new${count}/deep`))
    if (count % 40 === 0) entries.push(file(`d${count % 20}/large`, { content: Buffer.alloc(70_000) }))
  }
  const swap = `cd "$1"; while :; do for d in d*; do mv "$d" .x && ln -s "$2" "$d" && rm "$d" && mv .x "$d"; done; done`
  const swapper = spawn('sh', ['-c', swap, 'sh', path, outside], { stdio: 'ignore' })
  const statuses = new Set<number>()
  try {
    for (let round = 0; round < 40; round++) statuses.add((await files.post({ path }, tarOf(...entries), TAR)).status)
  } finally {
    swapper.kill('SIGKILL')
    await new Promise((resolve) => swapper.once('exit', resolve))
  }
  expect(await readdir(outside)).toEqual([])
  expect([...statuses].filter((status) => ![200, 400, 403, 409].includes(status))).toEqual([])
})

test('a client that leaves in the middle leaves nothing half-written and no descriptor', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'out')
  const before = surroundings(files)
  const large = entryBytes(file('large', { content: Buffer.alloc(3_000_000, 'x') }))
  const archive = Buffer.concat([entryBytes(file('small')), large])
  for (const mode of ['overwrite', 'replace']) {
    const url = `${files.front.url}/files?path=${path}&mode=${mode}`
    const sent = request(url, { method: 'POST', headers: { ...TAR, 'content-length': archive.length } })
    sent.on('error', () => {})
    sent.write(archive.subarray(0, 2_000_000))
    // The directory, the one that the large file is in, and the file.
    await expect.poll(async () => (await openBelow(files.dir)).length).toBeGreaterThanOrEqual(3)
    sent.socket?.resetAndDestroy()
    await expect.poll(() => openBelow(files.dir)).toEqual([])
    await expect.poll(() => surroundings(files)).toBe(before)
    expect(await readdir(path)).toEqual(['small'])
  }
})

async function openBelow(dir: string): Promise<string[]> {
  const numbers = await readdir('/proc/self/fd')
  const links = await Promise.all(numbers.map((number) => readlink(`/proc/self/fd/${number}`).catch(() => '')))
  return links.filter((link) => link.startsWith(dir))
}

test('mode=replace changes nothing unless all has come, and mode=create nothing that is there', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'out')
  const around = surroundings(files)
  expect((await files.post({ path }, tarOf(file('old'), file('d/old')), TAR)).status).toBe(200)
  const sum = () => execFileSync('sh', ['-c', 'cd "$1" && ls -lRi --time-style=+%s.%N', 'sh', path]).toString()
  const before = sum()
  await refused(files, tarOf(file('new'), file('../evil')), 400, { mode: 'replace' })
  await refused(files, tarOf(file('new')).subarray(0, 700), 400, { mode: 'replace' })
  await refused(files, tarOf(file('new')), 409, { mode: 'create' })
  await refused(files, tarOf(file('new')), 400, { mode: 'atomic' })
  expect(sum()).toBe(before)
  expect((await files.post({ path, mode: 'replace' }, tarOf(file('new')), TAR)).status).toBe(200)
  expect(await readdir(path)).toEqual(['new'])
  expect(surroundings(files)).toBe(around)
})

test('a path that is no directory, is missing, or leads through a planted link is refused', async () => {
  await using files = await startFilesFront()
  await writeFile(join(files.dir, 'plain'), 'x')
  for (const mode of ['overwrite', 'replace']) {
    expect((await files.post({ path: join(files.dir, 'plain'), mode }, tarOf(file('x')), TAR)).status).toBe(400)
    expect((await files.post({ mode }, tarOf(file('x')), TAR)).status).toBe(400)
    expect((await files.post({ path: '/proc', mode }, tarOf(file('evil')), TAR)).status).not.toBe(200)
    expect((await files.post({ path: '/proc/self/fd', mode }, tarOf(file('evil')), TAR)).status).toBe(403)
  }
  expect((await files.post({ path: '/', mode: 'replace' }, tarOf(file('x')), TAR)).status).toBe(409)
  symlinkSync('/etc', join(files.dir, 'planted'))
  execFileSync('chown', ['-h', '34567', join(files.dir, 'planted')])
  expect((await files.post({ path: join(files.dir, 'planted') }, tarOf(file('evil')), TAR)).status).toBe(403)
})

test('one name twice is what came last; a name that is not UTF-8 stays as it is', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'out')
  const around = surroundings(files)
  const odd = Buffer.from('odd-\xff', 'latin1')
  const archive = tarOf(
    file('x', { content: 'first' }),
    { name: 'x', type: '2', link: 'y' },
    file('x', { content: 'last' }),
    file('big', { content: 'first' }),
    file('big', { content: Buffer.alloc(80_000, 'b') }),
    { name: 'twin', type: '1', link: 'x' },
    { name: 'twin', type: '1', link: 'x' },
    { name: 'x', type: '1', link: 'x' },
    { name: odd, content: 'odd' },
    file('deep', { pax: { path: `${'d/'.repeat(400)}f` } }),
  )
  expect((await files.post({ path }, archive, TAR)).status).toBe(200)
  expect(await readFile(join(path, 'twin'), 'utf8')).toBe('last')
  const sum = createHash('sha256')
    .update(await readFile(join(path, 'big')))
    .digest('hex')
  expect(sum).toBe(createHash('sha256').update(Buffer.alloc(80_000, 'b')).digest('hex'))
  const names = await readdir(path, { encoding: 'buffer' })
  expect(names.some((name) => name.equals(odd))).toBe(true)
  expect(surroundings(files)).toBe(around)
  expect((await files.post({ path, mode: 'replace' }, tarOf(file('x')), TAR)).status).toBe(200)
  expect(surroundings(files)).toBe(around)
})
