import { readFileSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { bodies } from './attacks/bodies.ts'
import { connections } from './attacks/connections.ts'
import { endings } from './attacks/endings.ts'
import { followerAttacks } from './attacks/followers.ts'
import { inputs } from './attacks/inputs.ts'
import { portAttacks } from './attacks/ports.ts'
import { readers } from './attacks/readers.ts'
import { relayAttacks } from './attacks/relays.ts'
import { services } from './attacks/services.ts'
import { streams } from './attacks/streams.ts'
import { treeAttacks } from './attacks/trees.ts'
import { uploadAttacks } from './attacks/uploads.ts'
import { work } from './attacks/work.ts'
import { startLimited } from './limited-daemon.ts'
import { startProbe } from './probe.ts'
import {
  BUSY_P95_HEALTH_MS,
  LONGEST_HALT_MS,
  MAX_RESIDENT,
  P95_HEALTH_MS,
  P99_HEALTH_MS,
  PRESSURE_MS,
  WHOLE,
} from './scale.ts'

/** The part of each attack that is made in the reduced form. */
const REDUCED = 0.25

const AUTOGROUP = '/proc/self/autogroup'
/** That of the session, which goes on after the tests: a person's shell, say. */
let sessionNice: string | undefined

// The attacker must not take the processor from the daemon: a sandbox's clients run elsewhere.
beforeAll(() => {
  setPriority(19)
  try {
    const nice = / nice (-?\d+)\n$/.exec(readFileSync(AUTOGROUP, 'latin1'))?.[1]
    writeFileSync(AUTOGROUP, '19')
    sessionNice = nice
  } catch {
    // Without autogroups, or in the kernel's first group (EINVAL), the first is enough.
  }
})

afterAll(() => {
  if (sessionNice !== undefined) writeFileSync(AUTOGROUP, sessionNice)
})

for (const { name, prepare, run, maxBusy = BUSY_P95_HEALTH_MS, maxResident = MAX_RESIDENT } of [
  ...bodies,
  ...readers,
  ...streams,
  ...inputs,
  ...connections,
  ...services,
  ...work,
  ...followerAttacks,
  ...endings,
  ...treeAttacks,
  ...uploadAttacks,
  ...relayAttacks,
  ...portAttacks,
]) {
  test(`${name} leave the daemon small and quick`, async (context) => {
    await using daemon = await startLimited(context)
    await using directory = await makeTmpDir()
    const before = daemon.held()
    const held = new AsyncDisposableStack()
    const field = { daemon, directory: directory.path, scale: WHOLE ? 1 : REDUCED, held }
    await prepare?.(field)
    await using probe = await startProbe(daemon)
    await run(field)
    await delay(PRESSURE_MS)
    const health = await probe.report()
    const under = daemon.held()
    const halts = daemon.halts()
    await held.disposeAsync()
    await expect.poll(() => daemon.held().descriptors, { timeout: 20_000 }).toBeLessThanOrEqual(before.descriptors + 8)
    console.log(`${name}: ${JSON.stringify({ health, halts, before, under, after: daemon.held() })}`)
    expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
    expect(under.peak).toBeLessThan(maxResident)
    expect(health.failed).toBe(0)
    expect(health.count).toBeGreaterThan(PRESSURE_MS / 40)
    expect(health.busyP95).toBeLessThan(maxBusy)
    // The reduced form runs beside other work, whose times would be measured as well.
    if (!WHOLE) return
    expect(health.p95).toBeLessThan(P95_HEALTH_MS)
    expect(health.p99).toBeLessThan(P99_HEALTH_MS)
    expect(halts.longest).toBeLessThan(LONGEST_HALT_MS)
  })
}
