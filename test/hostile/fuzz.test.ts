import { mkdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { type Held, startLimited } from './limited-daemon.ts'
import type { Place } from './message-parts.ts'
import { hostileRequest } from './messages.ts'
import { startOddServer } from './odd-server.ts'
import { startProbe } from './probe.ts'
import { chosenSeed, type Random, seeded } from './random.ts'
import { rawHttp1, rawHttp2 } from './raw.ts'
import { FUZZ_MESSAGES, LONGEST_HALT_MS, MAX_RESIDENT, WORST_HEALTH_MS } from './scale.ts'
import { createSender, type Sender } from './sender.ts'

/** Requests that are under way at a time. */
const AT_ONCE = 24

async function lane(
  sender: Sender,
  random: Random,
  work: { left: number; answers: Map<string, number> },
  place: Place,
) {
  while (work.left-- > 0) {
    const choice = random.int(20)
    if (choice < 2) await sender.sendRaw(choice === 0 ? rawHttp1(random) : rawHttp2(random))
    else {
      const message = hostileRequest(random, place)
      const ended = String(await sender.send(message))
      work.answers.set(ended, (work.answers.get(ended) ?? 0) + 1)
    }
  }
}

test(`${FUZZ_MESSAGES} messages of every protocol are all answered, and the daemon is as it was`, async (context) => {
  await using directory = await makeTmpDir()
  // A path that is left out must not mean the home of the machine's root, whose listing takes its time.
  const home = ['-default-workdir', directory.path, '-default-home', directory.path]
  await using daemon = await startLimited(context, home)
  await mkdir(`${directory.path}/c`)
  await using probe = await startProbe(daemon)
  const before = daemon.held()
  const seed = chosenSeed()
  await using odd = await startOddServer(seed)
  const place: Place = { directory: directory.path, ports: [odd.port, daemon.port] }
  const sender = createSender(daemon.url)
  const work = { left: FUZZ_MESSAGES, answers: new Map<string, number>() }
  const lanes = Array.from({ length: AT_ONCE }, (_, at) => lane(sender, seeded(seed + at), work, place))
  await Promise.all(lanes).catch((error: Error) => {
    console.log(daemon.threads())
    throw new Error(`HOSTILE_SEED=${seed}: ${error.message}`, { cause: error })
  })
  sender.close()
  const health = await probe.report()
  const halts = daemon.halts()
  // Every command that was started ends at once, but for named terminals, which stay; watchers are of the user, who
  // removes them.
  const idle = async () => {
    const { body } = await call(daemon.url, 'process.Process/List', {})
    for (const { pid, config } of Object(body).processes ?? [])
      if (config.cmd === '/bin/bash')
        await call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal: 'SIGNAL_SIGKILL' })
    return JSON.stringify(body)
  }
  await expect.poll(idle, { timeout: 20_000 }).toBe('{}')
  const after = await settled(() => daemon.held(), before)
  console.log(JSON.stringify({ seed, health, halts, before, after, answers: Object.fromEntries(work.answers) }))
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
  // What is logged of unexpected failures.
  expect(daemon.stdout().match(/.*failed unexpectedly.*/)?.[0]).toBeUndefined()
  expect(daemon.stderr()).not.toMatch(/\n\s+at |Warning/)
  expect(health.worst).toBeLessThan(WORST_HEALTH_MS)
  expect(halts.longest).toBeLessThan(LONGEST_HALT_MS)
  expect(after.peak).toBeLessThan(MAX_RESIDENT)
  expect(after.descriptors).toBeLessThanOrEqual(before.descriptors + SPARE_DESCRIPTORS)
})

/** Watchers that were not removed keep an inotify instance, and the thread pool its files. */
const SPARE_DESCRIPTORS = 8

async function settled(held: () => Held, before: Held): Promise<Held> {
  await expect
    .poll(() => held().descriptors, { timeout: 20_000 })
    .toBeLessThanOrEqual(before.descriptors + SPARE_DESCRIPTORS)
  return held()
}
