import { execFileSync } from 'node:child_process'
import { readdirSync, symlinkSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, readlink, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DEFAULT_ARCHIVE_LIMITS } from '../../../src/archives/limits.ts'
import { type FilesFront, startFilesFront } from '../files-front.ts'

const ZIP = { 'content-type': 'application/zip' }

async function makeTree(files: FilesFront): Promise<string> {
  const tree = join(files.dir, 'tree')
  await mkdir(join(tree, 'a/deep'), { recursive: true })
  await mkdir(join(tree, 'empty'))
  await writeFile(join(tree, 'a/deep/small'), 'small '.repeat(50))
  await writeFile(join(tree, 'a/large'), Buffer.alloc(1_000_003, 'large '))
  await writeFile(join(tree, 'ü日本'), 'name')
  symlinkSync('../nowhere', join(tree, 'a/link'))
  await writeFile(join(tree, 'run'), 'x')
  await chmod(join(tree, 'run'), 0o755)
  await utimes(join(tree, 'run'), 1, 1_234_567_890)
  return tree
}

/** Kinds, names, modes, links and contents. */
function listing(dir: string): string {
  const script = `cd "$1" && { find . -mindepth 1 -type l -printf '%P %l\\n' -o -printf '%P %y %m\\n'
    find . -type f -print0 | xargs -0r sha256sum; } | sort`
  return execFileSync('sh', ['-c', script, 'sh', dir], { encoding: 'latin1', env: { ...process.env, LC_ALL: 'C' } })
}

const MAKERS = {
  zip: 'zip -qry "$1" .',
  bsdtar: 'bsdtar -cf "$1" --format zip .',
} as const

test.each(Object.entries(MAKERS))('an archive of %s is unpacked to the same tree', async (_name, command) => {
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  const archive = join(files.dir, 'a.zip')
  execFileSync('sh', ['-c', command, 'sh', archive], { cwd: tree, env: { ...process.env, LC_ALL: 'C.UTF-8' } })
  for (const mode of ['overwrite', 'replace']) {
    const out = join(files.dir, mode)
    const answer = await files.post({ path: out, mode }, await readFile(archive), ZIP)
    expect(answer.status, answer.text).toBe(200)
    expect(listing(out)).toBe(listing(tree))
    expect((await stat(join(out, 'run'))).mtimeMs).toBe(1_234_567_890_000)
    expect(await stat(join(out, 'run'))).toMatchObject({ uid: files.people.ann.uid })
  }
})

test('what was downloaded as zip is uploaded again, with owners for root', async () => {
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  const { body } = await files.get({ path: tree, format: 'zip' })
  const out = join(files.dir, 'out')
  expect((await files.post({ path: out, username: 'root', owner: 'archive' }, body, ZIP)).status).toBe(200)
  expect(listing(out)).toBe(listing(tree))
})

/** A zip archive by Python's zipfile: the script has `z`, `info(name, mode)` and `raw`, its bytes in the end. */
function made(script: string, after = ''): Buffer {
  const program = `import io, sys, zipfile
buffer = io.BytesIO()
def info(name, mode=0o100644, system=3):
    entry = zipfile.ZipInfo(name); entry.external_attr = mode << 16; entry.create_system = system
    return entry
with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as z:
    ${script.split('\n').join('\n    ')}
raw = bytearray(buffer.getvalue())
${after}
sys.stdout.buffer.write(raw)`
  return execFileSync('python3', ['-W', 'ignore', '-c', program], { maxBuffer: 64 * 1024 * 1024 })
}

const HOSTILE: Readonly<Record<string, readonly [number, string, string?]>> = {
  'an absolute name': [400, "z.writestr('/tmp/evil', 'x')"],
  'a name that leads up': [400, "z.writestr('../evil', 'x')"],
  'a name that leads up by backslashes': [400, "z.writestr(info('..\\\\evil', 0, 0), 'x')"],
  'a link that leads out, and a file below it': [
    403,
    "z.writestr(info('d', 0o120777), '..')\nz.writestr('d/evil', 'x')",
  ],
  'a device': [400, "z.writestr(info('null', 0o020666), '')"],
  'a target that is too long': [400, "z.writestr(info('l', 0o120777), 'x' * 5000)"],
  'an encrypted member': [400, "z.writestr('x', 'x')", "raw[6] |= 1; at = raw.find(b'PK\\1\\2'); raw[at + 8] |= 1"],
  'another method': [400, "z.writestr(info('x'), 'x' * 100, zipfile.ZIP_LZMA)"],
  'a wrong checksum': [400, "z.writestr('x', 'x')", "at = raw.find(b'PK\\1\\2'); raw[at + 16] ^= 1"],
  'a wrong checksum of a large file': [
    400,
    "z.writestr('x', bytes(200000))",
    "at = raw.find(b'PK\\1\\2'); raw[at + 16] ^= 1",
  ],
  'a wrong size': [400, "z.writestr('x', 'x' * 100)", "at = raw.find(b'PK\\1\\2'); raw[at + 24] += 1"],
  'members that overlap': [
    400,
    "z.writestr('x', 'x' * 100)\nz.writestr('y', 'x' * 100)",
    "at = raw.rfind(b'PK\\1\\2'); raw[at + 42:at + 46] = bytes(4)",
  ],
  'no end': [400, "z.writestr('x', 'x')", 'raw = raw[:-10]'],
  nothing: [400, 'pass', 'raw = b""'],
  'a bomb': [413, "z.writestr('zeros', bytes(40 << 20))"],
  'too many entries': [413, "for i in range(101): z.writestr(str(i), '')"],
}

test.each(Object.entries(HOSTILE))('%s is refused, and leaves nothing', async (_title, [status, script, after]) => {
  await using files = await startFilesFront({ archiveLimits: { ...DEFAULT_ARCHIVE_LIMITS, entries: 100 } })
  const around = () =>
    execFileSync('find', [
      files.dir,
      '-mindepth',
      '1',
      '-path',
      '*/out',
      '-prune',
      '-o',
      '-printf',
      '%p %i %s\n',
    ]).toString()
  const before = around()
  for (const mode of ['overwrite', 'replace']) {
    const answer = await files.post({ path: join(files.dir, 'out'), mode }, made(script, after), ZIP)
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining('"message"')])
    expect(around()).toBe(before)
    expect(readdirSync(files.dir, { recursive: true }).filter((name) => String(name).includes('.envd-'))).toEqual([])
  }
  expect((await readdir(join(files.dir, 'out'))).filter((name) => ['x', 'zeros'].includes(name))).toEqual([])
})

test('names without a word about their encoding are code page 437, and those of Unix are bytes', async () => {
  await using files = await startFilesFront()
  const script = "z.writestr(info('A-B', 0, 0), '1')\nz.writestr(info('C-D'), '2')"
  const body = made(script, "raw = raw.replace(b'A-B', b'A\\x81B').replace(b'C-D', b'C\\x81D')")
  expect((await files.post({ path: join(files.dir, 'out') }, body, ZIP)).status).toBe(200)
  const names = await readdir(join(files.dir, 'out'), { encoding: 'latin1' })
  expect(names.sort()).toEqual([Buffer.from('AüB').toString('latin1'), 'C\x81D'].sort())
})

test('data descriptors, of an archive that was written to a pipe, are no trouble', async () => {
  await using files = await startFilesFront()
  const script = `import sys, zipfile
class Pipe:
    def write(self, data): return sys.stdout.buffer.write(data)
    def flush(self): pass
with zipfile.ZipFile(Pipe(), 'w', zipfile.ZIP_DEFLATED) as z:
    z.writestr('d/x', 'x' * 1000); z.writestr('y', bytes(100000))`
  const body = execFileSync('python3', ['-c', script])
  expect(body.readUInt16LE(6) & 8).toBe(8)
  expect((await files.post({ path: join(files.dir, 'out') }, body, ZIP)).status).toBe(200)
  expect(await readFile(join(files.dir, 'out/d/x'), 'utf8')).toBe('x'.repeat(1000))
  expect((await stat(join(files.dir, 'out/y'))).size).toBe(100_000)
})

test('64-bit fields are read', async () => {
  await using files = await startFilesFront()
  const body = made(
    "with z.open(info('x'), 'w', force_zip64=True) as f: f.write(b'wide')\nz.writestr(info('l', 0o120777), 'x')",
  )
  expect((await files.post({ path: join(files.dir, 'out') }, body, ZIP)).status).toBe(200)
  expect(await readFile(join(files.dir, 'out/x'), 'utf8')).toBe('wide')
  expect(await readlink(join(files.dir, 'out/l'))).toBe('x')
})

test('mutated archives write nothing outside, and leave nothing temporary', async () => {
  await using files = await startFilesFront()
  const rounds = Number(process.env['ENVD_MUTATIONS'] ?? 500)
  const whole = made(
    "z.writestr('a/b', 'x' * 300)\nz.writestr(info('l', 0o120777), '..')\nz.writestr('c', bytes(70000))",
  )
  const around = () =>
    execFileSync('find', [
      files.dir,
      '-mindepth',
      '1',
      '-path',
      '*/out',
      '-prune',
      '-o',
      '-printf',
      '%p %i %s\n',
    ]).toString()
  const before = around()
  let seed = 12345
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return (seed >>> 8) % below
  }
  const statuses = new Map<number, number>()
  for (let round = 0; round < rounds; round++) {
    let body = Buffer.from(whole)
    for (let changes = 1 + random(3); changes > 0; changes--) body[random(body.length)] = random(256)
    if (random(8) === 0) body = body.subarray(0, random(body.length))
    const { status } = await files.post({ path: join(files.dir, 'out') }, body, ZIP)
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    if (round % 50 === 49) expect(around()).toBe(before)
  }
  expect(around()).toBe(before)
  expect(readdirSync(files.dir, { recursive: true }).filter((name) => String(name).includes('.envd-'))).toEqual([])
  expect([...statuses.keys()].filter((status) => ![200, 400, 403, 409, 413].includes(status))).toEqual([])
  expect(statuses.get(400)).toBeGreaterThan(rounds / 10)
})
