import { expect, test } from 'vitest'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { protocolHeaders } from '../hostile/protocol-headers.ts'
import { type Random, seeded } from '../hostile/random.ts'
import { type HostileTarget, hostileTarget } from '../hostile/targets.ts'
import { type Answered, askHttp1, askHttp2, openSession, type WireRequest } from './answers.ts'

/** FUZZ_SEED repeats a run, FUZZ_ROUNDS makes it longer. */
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const rounds = Number(process.env['FUZZ_ROUNDS'] ?? 600)

/** Requests at a time. */
const LANES = 8

const daemon = sharedDaemon()

const BODIES = [
  '',
  '{}',
  '{',
  '\u{1f600}',
  '"',
  '{"process":{"pid":1}}',
  '{"process":{"tag":"\\ud83d"}}',
  '\0\0\0\0\0',
] as const

function bodyOf(random: Random): Buffer {
  const payload = random.chance(0.9) ? Buffer.from(random.pick(BODIES)) : random.bytes(random.int(40))
  if (random.chance(0.5)) return payload
  const head = Buffer.alloc(5)
  head.writeUInt8(random.chance(0.8) ? 0 : random.int(256), 0)
  head.writeUInt32BE(random.chance(0.9) ? payload.length : random.int(1000), 1)
  return Buffer.concat([head, payload])
}

/** A call without an answer fails at every attempt; a machine that is busy for a second is so once. */
const ATTEMPTS = 5

async function patiently(ask: () => Promise<Answered>): Promise<Answered | string> {
  let failure = ''
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      return await ask()
    } catch (error) {
      failure = String(error)
    }
  }
  return failure
}

interface Lane {
  readonly random: Random
  readonly port: number
  readonly failures: string[]
}

async function oneRound({ random, port, failures }: Lane, session: ReturnType<typeof openSession>): Promise<void> {
  const { method, target, origin }: HostileTarget = hostileTarget(random)
  const headers = random.chance(0.3) ? [['content-type', 'application/json'] as const] : protocolHeaders(random)
  const request: WireRequest = { method, target, headers, body: bodyOf(random) }
  const shown = JSON.stringify({ ...request, body: request.body.toString('latin1') })
  const first = await patiently(() => askHttp1(port, request))
  if (typeof first === 'string') failures.push(`HTTP/1.1 ${first}: ${shown}`)
  const second = await patiently(() => askHttp2(session, request))
  if (typeof second === 'string' && second !== 'reset') failures.push(`HTTP/2 ${second}: ${shown}`)
  if (origin === undefined || origin === target) return
  const same = await patiently(() => askHttp1(port, { ...request, target: origin }))
  if (same !== first) failures.push(`${first}, but ${same} in origin form: ${shown}`)
}

async function fuzz(port: number): Promise<string[]> {
  const failures: string[] = []
  let left = rounds
  const lane = async (number: number) => {
    const random = seeded(seed + number)
    let session = openSession(port)
    while (left-- > 0) {
      if (session.closed || session.destroyed) session = openSession(port)
      await oneRound({ random, port, failures }, session)
    }
    session.destroy()
  }
  await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)))
  return failures
}

test('every target with any headers of the protocols is answered within a second, in every form alike', async () => {
  console.log(`FUZZ_SEED=${seed} FUZZ_ROUNDS=${rounds}`)
  expect(await fuzz(daemon.port)).toEqual([])
  expect(daemon.stderr()).not.toMatch(/\n\s+at /)
  expect(daemon.stdout()).not.toMatch(/failed unexpectedly|could not be answered/)
}, 600_000)
