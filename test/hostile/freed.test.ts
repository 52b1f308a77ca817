import { setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { bodies } from './attacks/bodies.ts'
import { readers } from './attacks/readers.ts'
import { startLimited } from './limited-daemon.ts'
import { chosenSeed, seeded } from './random.ts'
import { rawHttp2 } from './raw.ts'
import { PRESSURE_MS, WHOLE } from './scale.ts'
import { createSender } from './sender.ts'

/** What the daemon may have resident so soon after its clients have left: at its start it has 75 MiB. */
const FREED_RESIDENT = 128 * 2 ** 20
const FREED_MS = 20_000

const ATTACKS = new Set([
  'half-sent bodies of 60 MB',
  'downloads over HTTP/2 with a window of 0',
  'recursive watches that are not read',
])

// As in attacks.test.ts.
beforeAll(() => setPriority(19))

for (const { name, prepare, run } of [...bodies, ...readers].filter(({ name }) => ATTACKS.has(name))) {
  test(`what ${name} took is given back to the kernel within seconds`, async (context) => {
    await using daemon = await startLimited(context)
    await using directory = await makeTmpDir()
    const held = new AsyncDisposableStack()
    const field = { daemon, directory: directory.path, scale: WHOLE ? 1 : 0.25, held }
    await prepare?.(field)
    await run(field)
    await delay(PRESSURE_MS)
    const under = daemon.held().peak
    await held.disposeAsync()
    await expect.poll(() => daemon.held().resident, { timeout: FREED_MS }).toBeLessThan(FREED_RESIDENT)
    console.log(`${name}: ${JSON.stringify({ under, after: daemon.held().resident })}`)
  })
}

/** Connections at a time, and in sum. */
const LANES = 24
const CONNECTIONS = WHOLE ? 40_000 : 12_000

/** What the daemon may grow by, most of it by chance; a session that stays takes 20 KiB, and one of four did. */
const GROWTH = 25 * 2 ** 20

test('sessions of HTTP/2 that end by faults of their clients leave nothing behind', async (context) => {
  await using daemon = await startLimited(context)
  const seed = chosenSeed()
  const sender = createSender(daemon.url)
  const open = async (connections: number) => {
    let left = connections
    const lane = async (random: ReturnType<typeof seeded>) => {
      while (left-- > 0) await sender.sendRaw(rawHttp2(random))
    }
    await Promise.all(Array.from({ length: LANES }, (_, at) => lane(seeded(seed + at))))
    return daemon.held().resident
  }
  const before = await open(3_000)
  const after = await open(CONNECTIONS)
  console.log(JSON.stringify({ seed, before, after }))
  expect(after - before).toBeLessThan(GROWTH)
})
