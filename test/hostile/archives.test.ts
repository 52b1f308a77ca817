import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { DEFAULT_ARCHIVE_LIMITS } from '../../src/archives/limits.ts'
import { unpackArchive } from '../../src/archives/unpack-archive.ts'
import { createByteBudget } from '../../src/budget/budget.ts'
import { AppError } from '../../src/errors.ts'
import { recordingLog } from '../_util/recording-log.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { END, entryBytes, type MadeEntry } from '../archives/make-tar.ts'
import { chosenSeed, type Random, seeded } from './random.ts'
import { MUTATED_ARCHIVES } from './scale.ts'

const BLOCK = 512
const GOOD_NAMES = ['a', 'a/b', 'd/', 'd/e', 'n', './m', 'e/f/g', 'h'] as const
const BAD_NAMES = ['link', 'link/x', '../x', '/tmp/evil', 'a/../../x', 'out', 'way-out', 'way-out/x', ''] as const
const GOOD_TYPES = ['0', '0', '0', '1', '2', '5', 'L', 'K'] as const
const ODD_TYPES = ['x', 'g', 'S', '3', '6', '\0', 'V', '7'] as const
const FIELDS = [
  [0, 100],
  [100, 8],
  [108, 8],
  [116, 8],
  [124, 12],
  [136, 12],
  [148, 8],
  [156, 1],
  [157, 100],
  [257, 8],
  [345, 155],
  [386, 97],
  [483, 12],
] as const satisfies readonly (readonly [number, number])[]

const nameOf = (random: Random) => random.pick<string>(random.chance(0.9) ? GOOD_NAMES : BAD_NAMES)

function madeEntry(random: Random): MadeEntry {
  const name = nameOf(random)
  const link = nameOf(random)
  const type = random.pick<string>(random.chance(0.9) ? GOOD_TYPES : ODD_TYPES)
  const content = type === 'L' || type === 'K' ? `${nameOf(random)}\0` : 'c'.repeat(random.int(3) * random.int(900))
  const large = random.chance(0.03) ? Buffer.alloc(70_000, 'large') : content
  if (random.chance(0.3)) {
    const key = random.pick(['path', 'linkpath', 'size', 'mtime', 'GNU.sparse.map', 'SCHILY.xattr.user.e2b.k'])
    const pax = { [key]: random.chance(0.5) ? nameOf(random) : String(random.int(2000)), 'GNU.sparse.size': '99' }
    return { name, link, type, content: large, pax: random.chance(0.5) ? pax : { [key]: pax[key] ?? '' } }
  }
  return { name, link, type, content: large, mode: random.int(0o10000) }
}

/**
 * A valid archive, or nearly, and then changes of bits, fields, blocks and lengths; checksums are right half of the
 * time.
 */
function mutated(random: Random): Buffer {
  const parts = Array.from({ length: 1 + random.int(7) }, () => entryBytes(madeEntry(random)))
  let archive = Buffer.concat([...parts, END])
  for (let changes = random.int(4); changes > 0; changes--) {
    const block = random.int(archive.length / BLOCK) * BLOCK
    const choice = random.int(6)
    if (choice === 0) archive[random.int(archive.length)] = random.int(256)
    else if (choice === 1) archive = archive.subarray(0, random.int(archive.length))
    else if (choice === 2) archive = Buffer.concat([archive.subarray(0, block), archive.subarray(block + BLOCK)])
    else if (choice === 3) archive = Buffer.concat([archive.subarray(0, block + BLOCK), archive.subarray(block)])
    else changeField(archive, block, random)
    if (archive.length < BLOCK) return archive
    if (random.chance(0.5)) repairChecksum(archive, random.int(archive.length / BLOCK) * BLOCK)
  }
  return archive
}

function changeField(archive: Buffer, block: number, random: Random): void {
  const [at, length] = random.pick<readonly [number, number]>(FIELDS)
  const text = random.chance(0.5) ? Buffer.from(nameOf(random)) : random.bytes(random.int(length + 1))
  if (random.chance(0.5)) archive.subarray(block + at, block + at + length).fill(0)
  text.copy(archive, block + at, 0, length)
  if (at !== 148 && random.chance(0.8)) repairChecksum(archive, block)
}

function repairChecksum(archive: Buffer, block: number): void {
  const header = archive.subarray(block, block + BLOCK)
  if (header.length < BLOCK) return
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}

/** Everything around the directory: names, inodes, sizes, times of change. */
function surroundings(dir: string): string {
  const names = readdirSync(dir).filter((name) => name !== 'out')
  const below = readdirSync(join(dir, 'kept')).map((name) => `kept/${name}`)
  return [...names, ...below]
    .sort()
    .map((name) => {
      const { ino, size, ctimeMs, nlink } = lstatSync(join(dir, name))
      return `${name} ${ino} ${size} ${ctimeMs} ${nlink}`
    })
    .join('\n')
}

test(`${MUTATED_ARCHIVES} mutated archives write nothing outside and leave nothing temporary`, async () => {
  await using tmp = await makeTmpDir()
  const path = join(tmp.path, 'out')
  mkdirSync(join(tmp.path, 'kept'))
  writeFileSync(join(tmp.path, 'kept/secret'), 'secret')
  writeFileSync(join(tmp.path, 'x'), 'around')
  const before = surroundings(tmp.path)
  const seed = chosenSeed()
  const random = seeded(seed)
  const outcomes = new Map<string, number>()
  const budget = createByteBudget(64 * 1024 * 1024)
  for (let round = 0; round < MUTATED_ARCHIVES; round++) {
    const archive = mutated(random)
    const outcome = await unpack(path, archive, { random, budget })
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    const left = temporaries(path)
    if (surroundings(tmp.path) !== before || left.length > 0 || budget.usage().upload !== 0)
      expect.fail(
        `HOSTILE_SEED=${seed}, round ${round}: ${left} ${surroundings(tmp.path)} ${archive.toString('base64')}`,
      )
    if (round % 20 === 0) startAnew(path, random)
  }
  console.log(JSON.stringify({ seed, outcomes: Object.fromEntries(outcomes) }))
  // The mutations reach behind the first check.
  expect(outcomes.get('unpacked') ?? 0).toBeGreaterThan(MUTATED_ARCHIVES / 50)
  expect([...outcomes.keys()]).toEqual(
    expect.arrayContaining(['invalid_argument', 'already_exists', 'permission_denied']),
  )
})

/** Temporary names below a directory; links are not followed. */
function temporaries(dir: string): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.envd-')) return [entry.name]
    return entry.isDirectory() ? temporaries(join(dir, entry.name)) : []
  })
}

/** A directory with ways out of it. */
function startAnew(path: string, random: Random): void {
  rmSync(path, { recursive: true, force: true })
  if (random.chance(0.3)) return
  mkdirSync(path)
  symlinkSync('../kept', join(path, 'way-out'))
  symlinkSync('..', join(path, 'link'))
}

interface Unpacking {
  readonly random: Random
  readonly budget: ReturnType<typeof createByteBudget>
}

async function unpack(path: string, archive: Buffer, { random, budget }: Unpacking): Promise<string> {
  const hold = budget.hold('upload', { connection: undefined, user: undefined })
  const { log } = recordingLog()
  const cut = random.int(archive.length + 1)
  const chunks = [archive.subarray(0, cut), archive.subarray(cut)].filter((chunk) => chunk.length > 0)
  const uid = process.getuid?.() ?? 0
  const gid = process.getgid?.() ?? 0
  try {
    await unpackArchive(Readable.from(chunks, { objectMode: false }), {
      path,
      mode: random.pick(['overwrite', 'overwrite', 'replace', 'create']),
      owner: { name: 'somebody', uid, gid, home: '/' },
      archiveOwners: uid === 0 && random.chance(0.2),
      strip: random.pick([0, 0, 0, 1]),
      limits: DEFAULT_ARCHIVE_LIMITS,
      received: () => archive.length,
      signal: new AbortController().signal,
      idleMs: 10_000,
      hold,
      log,
    })
    return 'unpacked'
  } catch (error) {
    if (!(error instanceof AppError) || error.kind === 'internal') throw error
    return error.kind
  } finally {
    hold.release()
  }
}
