import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { cuttingProxy } from './cutting-proxy.ts'
import { inParallel } from './following.ts'
import { runResuming } from './resuming-client.ts'

const CUTS = 1_000
const COMMANDS_AT_ONCE = 40
const STDOUT_BYTES = 100_000
const STDERR_BYTES = 40_000

/** Headers of the answer and the start event: a client that has seen no pid has nothing to take up. */
const FIRST_ANSWER_BYTES = 1_500

/** Prints both files in small pieces, in turns of random length, for some seconds. */
const WRITER = `
import os, random, sys, time
pick = random.Random(int(sys.argv[1]))
files = [(1, open(sys.argv[2], 'rb')), (2, open(sys.argv[3], 'rb'))]
while files:
    file = pick.choice(files)
    piece = file[1].read(pick.randrange(1, 4000))
    if not piece:
        files.remove(file)
    while piece:
        piece = piece[os.write(file[0], piece):]
    if pick.random() < 0.7:
        time.sleep(pick.random() * 0.08)
sys.exit(7)
`

test('N22 N23 a client of the draft loses and doubles no byte over 1,000 cut connections, and has one end for each command', async () => {
  const seed = Number(process.env['RESUME_SEED'] ?? randomBytes(4).readUInt32LE())
  console.log(`seed of the cuts: RESUME_SEED=${seed}`)
  const random = seeded(seed)
  await using directory = await makeTmpDir()
  const paths = ['writer.py', 'stdout', 'stderr'].map((name) => join(directory.path, name))
  const [stdout, stderr] = [randomBytes(STDOUT_BYTES), randomBytes(STDERR_BYTES)]
  await Promise.all([WRITER, stdout, stderr].map((bytes, index) => writeFile(paths[index] ?? '', bytes)))
  const [writer = '', out = '', err = ''] = paths
  await using daemon = await startDaemon()
  let cuts = 0
  let commands = 0
  // One in ten within the headers, the others anywhere in what is left.
  const anywhere = () => Math.floor(random() * (random() < 0.1 ? 600 : 20_000)) + 1
  const cutAfter = (connection: number) => {
    if (cuts >= CUTS) return undefined
    return connection === 0 ? FIRST_ANSWER_BYTES + anywhere() : anywhere()
  }
  const run = async () => {
    const number = commands++
    using proxy = await cuttingProxy({ port: daemon.port, cutAfter, onCut: () => cuts++ })
    const command = ['python3', writer, String(seed + number), out, err] as const
    const printed = await runResuming({ url: proxy.url, healthUrl: daemon.url, command, timeoutMs: 120_000 })
    expect(printed.stdout.equals(stdout), `stdout of command ${number}`).toBe(true)
    expect(printed.stderr.equals(stderr), `stderr of command ${number}`).toBe(true)
    expect(printed.statuses).toEqual(['exit status 7'])
  }
  await inParallel(COMMANDS_AT_ONCE, COMMANDS_AT_ONCE, async () => {
    while (cuts < CUTS) await run()
  })
  console.log(`${cuts} cuts over ${commands} commands`)
  expect(cuts).toBeGreaterThanOrEqual(CUTS)
}, 240_000)

/** Mulberry32: numbers in [0, 1). */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
