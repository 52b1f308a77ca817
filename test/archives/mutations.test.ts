import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { startFilesFront } from '../http/files-front.ts'
import { openFilesBelow } from '../http/open-below.ts'
import { tarOf } from './make-tar.ts'

/** Of each format. `ENVD_MUTATIONS=100000 ENVD_MUTATION_SEED=7` makes it longer, and another one. */
const ROUNDS = Number(process.env['ENVD_MUTATIONS'] ?? 500)
const SEED = Number(process.env['ENVD_MUTATION_SEED'] ?? Date.now() % 1_000_000)
const ALLOWED = [200, 400, 403, 409, 413]
/** Beyond what is there after a tenth of the rounds: what is kept for each archive would be more. */
const MAX_GROWTH_BYTES = 96 * 1024 * 1024

type Random = (below: number) => number

function randomOf(seed: number): Random {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return Math.floor(((state >>> 4) / 2 ** 28) * below)
  }
}

/** Makes what is worth mutating, with GNU tar and Python's zipfile. */
const MAKE = `set -e; cd "$1"; mkdir -p t/d/e; echo content >t/d/f; ln t/d/f t/d/twin; ln -s ../../.. t/up; ln -s f t/d/l
head -c 70000 /dev/zero >t/large; truncate -s 300000 t/holes; 
echo x | dd of=t/holes bs=1 seek=200000 conv=notrunc 2>/dev/null
touch "t/d/$(printf %0120d 0)"
tar --format ustar -cf ustar.tar t 2>/dev/null || :
for format in pax gnu; do tar -S --format $format -cf $format.tar t; done
tar -S --format pax --sparse-version 0.1 -cf pax01.tar t; tar -S --format pax --sparse-version 0.0 -cf pax00.tar t
python3 - <<'END'
import zipfile, os
for name, how in (('stored', 0), ('deflated', 8)):
    z = zipfile.ZipFile(name + '.zip', 'w', how)
    for top, dirs, files in os.walk('t'):
        for f in sorted(files):
            p = os.path.join(top, f)
            if os.path.islink(p):
                i = zipfile.ZipInfo(p); i.create_system = 3; i.external_attr = 0o120777 << 16
                z.writestr(i, os.readlink(p))
            elif f != 'large' or how: z.write(p)
    with z.open('zip64', 'w', force_zip64=True) as f: f.write(b'y' * 300)
    z.close()
END
rm -r t`

async function archivesOf(names: readonly string[]): Promise<Buffer[]> {
  await using dir = await makeTmpDir()
  execFileSync('sh', ['-c', MAKE, 'sh', dir.path])
  return await Promise.all(names.map((name) => readFile(join(dir.path, name))))
}

const NUMBERS = ['7777777', '37777777777', '-1', '0', '18446744073709551615', '9007199254740993', '', '1e9']
const NAMES = ['..', '../evil', '/tmp/evil', 'd/../../evil', 'up/evil', 'C:\\evil', 'd\\..\\evil', 'd', 'f', '.', '']

function put(body: Buffer, text = '', at: number): void {
  if (at < body.length) body.write(text, at, 'latin1')
}

function mutateBytes(body: Buffer, random: Random): void {
  for (let changes = 1 + random(4); changes > 0; changes--) {
    const at = random(body.length)
    if (random(3) > 0) body[at] = random(256)
    else put(body, NUMBERS[random(NUMBERS.length)], at)
  }
}

/** Changes headers, and then their sums, so that what is behind the check of the sum is reached. */
function mutateTar(whole: Buffer, random: Random): Buffer {
  const body = Buffer.from(whole)
  const blocks = body.length / 512
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const at = random(blocks) * 512
    const header = body.toString('latin1', at + 257, at + 262) === 'ustar'
    const kind = random(header ? 6 : 3)
    if (kind === 0) mutateBytes(body.subarray(at, at + 512), random)
    else if (kind === 1) body.copy(body, random(blocks) * 512, at, at + 512)
    else if (kind === 2) mutateBytes(body.subarray(at, Math.min(at + 512, body.length)), random)
    else if (kind === 3) body.write('0123457xgLKSV'[random(13)] ?? '0', at + 156, 'latin1')
    else if (kind === 4) body.write((NAMES[random(NAMES.length)] ?? '').padEnd(20, '\0'), at + (random(2) ? 0 : 157))
    else
      body.write((NUMBERS[random(NUMBERS.length)] ?? '').slice(0, 11).padStart(11, '0'), at + (random(2) ? 124 : 136))
    if (header || random(4) === 0) repairSum(body, at)
  }
  return random(8) === 0 ? body.subarray(0, random(body.length)) : body
}

function repairSum(body: Buffer, at: number): void {
  body.fill(' ', at + 148, at + 156)
  const sum = body.subarray(at, at + 512).reduce((total, byte) => total + byte, 0)
  body.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1')
}

/** Changes names, fields of headers and of the directory at the end, or anything. */
function mutateZip(whole: Buffer, random: Random): Buffer {
  const body = Buffer.from(whole)
  const signatures = ['PK\x01\x02', 'PK\x03\x04', 'PK\x05\x06', 'PK\x07\x08', 'PK\x06\x06', 'PK\x06\x07']
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const at = body.indexOf(signatures[random(signatures.length)] ?? '', random(body.length), 'latin1')
    const kind = random(4)
    if (at < 0 || kind === 0) mutateBytes(body, random)
    else if (kind === 1) mutateBytes(body.subarray(at, Math.min(at + 46, body.length)), random)
    else if (kind === 2) put(body, NAMES[random(NAMES.length)], at + (random(2) ? 30 : 46))
    else body.fill(random(2) * 255, at + 14 + random(16), Math.min(at + 30, body.length))
  }
  return random(8) === 0 ? body.subarray(0, random(body.length)) : body
}

const FORMATS = {
  tar: {
    names: ['ustar.tar', 'pax.tar', 'gnu.tar', 'pax00.tar', 'pax01.tar'],
    type: 'application/x-tar',
    mutate: mutateTar,
  },
  zip: { names: ['stored.zip', 'deflated.zip'], type: 'application/zip', mutate: mutateZip },
}

test.each(Object.entries(FORMATS))(
  'mutated archives (%s) write nothing outside, leave nothing, and end nothing',
  {
    timeout: 60_000 + ROUNDS * 500,
  },
  async (name, { names, type, mutate }) => {
    await using files = await startFilesFront()
    const wholes = await archivesOf(names)
    if (name === 'tar') wholes.push(tarOf({ name: 'x', pax: { 'SCHILY.xattr.user.e2b.k': 'v', mtime: '-1.5' } }))
    // Two directories deep, so that `..` leads to where it is seen, and not to what others use.
    const dir = await mkdtemp(join(files.dir, 'around-'))
    const around = () => execFileSync('find', [files.dir, '-path', '*/in', '-prune', '-o', '-printf', '%p %i %s %T@\n'])
    await mkdir(join(dir, 'a/b/in'), { recursive: true })
    const before = around().toString()
    const statuses = new Map<number, number>()
    let memory = 0
    for (let round = 0; round < ROUNDS; round++) {
      const random = randomOf(SEED + round * 7919)
      const whole = wholes[random(wholes.length)] ?? Buffer.alloc(0)
      const body = mutate(whole, random)
      const mode = random(4) === 0 ? 'replace' : 'overwrite'
      const { status } = await files.post({ path: join(dir, 'a/b/in/out'), mode }, body, { 'content-type': type })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (!ALLOWED.includes(status)) throw new Error(`seed ${SEED}, round ${round}: ${status}`)
      if (round % 50 === 49) {
        if (around().toString() !== before) throw new Error(`seed ${SEED}, near round ${round}: ${around()}`)
        const temporary = execFileSync('find', [files.dir, '-name', '.envd-*']).toString()
        if (temporary !== '') throw new Error(`seed ${SEED}, near round ${round}: ${temporary}`)
        await rm(join(dir, 'a/b/in/out'), { recursive: true, force: true })
      }
      if (round === Math.floor(ROUNDS / 10)) memory = process.memoryUsage().rss
    }
    const growth = process.memoryUsage().rss - memory
    console.log(`${name}: ${ROUNDS} mutations from seed ${SEED}: ${[...statuses].join(' ')}, ${growth >> 20} MiB more`)
    expect(await openFilesBelow(dir)).toBe(0)
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES)
    expect(statuses.get(400)).toBeGreaterThan(ROUNDS / 10)
    expect(statuses.get(200)).toBeGreaterThan(ROUNDS / 100)
  },
)
