import { setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { bodies } from './attacks/bodies.ts'
import { readers } from './attacks/readers.ts'
import { startLimited } from './limited-daemon.ts'
import { PRESSURE_MS, WHOLE } from './scale.ts'

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
