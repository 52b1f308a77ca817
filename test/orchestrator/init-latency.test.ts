import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { HOST } from '../_util/micro-vm.ts'
import { needsNamespace } from '../_util/namespace.ts'
import type { Measured } from './init-latency-inside.ts'
import { ON_HOST } from './processors.ts'

const run = promisify(execFile)

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** The daemon's own bound, with a metadata service, and whatever callers have given up before. */
const P99_MS = 5

/** What else this machine does now and then slows down a whole round. */
const ROUNDS = 3

function p99(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN
}

async function round(): Promise<{ alone: number; amid: number }> {
  const [file = '', ...words] = [...ON_HOST, path('../ports/network-of-its-own'), HOST]
  const { stdout } = await run(file, [...words, process.execPath, path('init-latency-inside.ts')])
  const { alone, amid } = JSON.parse(stdout) as Measured
  return { alone: p99(alone), amid: p99(amid) }
}

test('K5 /init takes less than 5 ms at p99, also amid 1,000 attempts that are given up and repeated', {
  timeout: 120_000,
}, async (context) => {
  needsNamespace(context)
  const rounds: { alone: number; amid: number }[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const measured = await round()
    rounds.push(measured)
    if (Math.max(measured.alone, measured.amid) < P99_MS) break
  }
  console.log(JSON.stringify({ 'POST /init p99, ms': rounds }))
  const best = (of: 'alone' | 'amid') => Math.min(...rounds.map((measured) => measured[of]))
  expect(best('alone')).toBeLessThan(P99_MS)
  expect(best('amid')).toBeLessThan(P99_MS)
})
