import { expect, type TestContext, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { type Finding, findingText, type Message } from './finding.ts'
import { AT_ONCE, type FuzzField, openFuzzField, replay } from './fuzz-field.ts'
import type { Held } from './limited-daemon.ts'
import type { Place } from './message-parts.ts'
import { hostileRequest } from './messages.ts'
import { minimise } from './minimise.ts'
import { startProbe } from './probe.ts'
import { chosenSeed, type Random, seeded } from './random.ts'
import { rawHttp1, rawHttp2 } from './raw.ts'
import { FUZZ_MESSAGES, LONGEST_HALT_MS, MAX_RESIDENT, WORST_HEALTH_MS } from './scale.ts'

/** Messages up to the one that failed, of which a finding is made. */
const SUSPECTS = 2_000
/** Messages that are remembered: one without an answer is known as such when others were sent for ten seconds. */
const HISTORY = 50_000
/** Messages between two looks at the log. */
const LOOK_EVERY = 1_000

function randomMessage(random: Random, place: Place): Message {
  const choice = random.int(20)
  if (choice >= 2) return hostileRequest(random, place)
  return choice === 0 ? rawHttp1(random) : rawHttp2(random)
}

/** The newest messages. */
class History {
  #messages: Message[] = []
  #dropped = 0

  /** Its number. */
  push(message: Message): number {
    if (this.#messages.length >= 2 * HISTORY) {
      this.#messages = this.#messages.slice(-HISTORY)
      this.#dropped += HISTORY
    }
    return this.#dropped + this.#messages.push(message) - 1
  }

  /** Those up to the one of that number. */
  upTo(number: number): readonly Message[] {
    const end = number - this.#dropped + 1
    return this.#messages.slice(Math.max(0, end - SUSPECTS), end)
  }
}

interface Work {
  left: number
  readonly history: History
  readonly answers: Map<string, number>
  /** Of the first failure. */
  suspects: readonly Message[]
}

/** Rejects with what went wrong. */
async function lane(field: FuzzField, random: Random, work: Work) {
  while (work.left-- > 0) {
    const message = randomMessage(random, field.place)
    const number = work.history.push(message)
    try {
      const ended = String(await field.send(message))
      if (!Buffer.isBuffer(message)) work.answers.set(ended, (work.answers.get(ended) ?? 0) + 1)
      const problem = work.left % LOOK_EVERY === 0 ? await field.problem() : undefined
      if (problem !== undefined) throw new Error(problem)
    } catch (error) {
      if (work.suspects.length === 0) work.suspects = work.history.upTo(number)
      throw error
    }
  }
}

/** Prints the messages that the daemon fails after, as few as are found: `scripts/test-hostile` keeps them as a test. */
async function report(context: TestContext, finding: Finding, { daemon, place }: FuzzField): Promise<void> {
  console.log(daemon.threads())
  const textOf = (messages: readonly Message[]) => findingText({ ...finding, messages }, place)
  // A daemon that ends by itself rejects.
  const fails = (messages: readonly Message[]) =>
    replay(context, textOf(messages)).then(
      (problem) => problem !== undefined,
      () => true,
    )
  const few = await minimise(finding.messages, fails)
  console.log(
    few === undefined
      ? `the last ${finding.messages.length} messages alone did not fail again`
      : `finding: ${textOf(few)}`,
  )
}

test(`${FUZZ_MESSAGES} messages of every protocol are all answered, and the daemon is as it was`, async (context) => {
  await using directory = await makeTmpDir()
  const seed = chosenSeed()
  await using field = await openFuzzField(context, directory.path, seed)
  const { daemon } = field
  await using probe = await startProbe(daemon)
  const before = daemon.held()
  const work: Work = { left: FUZZ_MESSAGES, history: new History(), answers: new Map(), suspects: [] }
  const lanes = Array.from({ length: AT_ONCE }, (_, at) => lane(field, seeded(seed + at), work))
  await Promise.all(lanes).catch(async (error: Error) => {
    work.left = 0
    const { suspects: messages } = work
    await report(context, { seed, problem: error.message, directory: directory.path, messages }, field)
    throw new Error(`HOSTILE_SEED=${seed}: ${error.message}`, { cause: error })
  })
  field.close()
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
