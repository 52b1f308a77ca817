import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Client } from './client.ts'
import { startCat } from './input.ts'
import { type Latency, latencyRows, type Measure, quantile } from './measure.ts'

const PER_SECOND = 200
const COUNT = 1000
const TAG = 'bench-flood'
const READER = fileURLToPath(new URL('flood-reader.ts', import.meta.url))

/** Small calls at a steady rate beside one command that floods, whose output another process reads. */
export const flood: Measure = {
  name: 'flood',
  async run({ client }) {
    const args = ['--disable-warning=ExperimentalWarning', READER, client.url.href.replace(/\/$/, ''), TAG]
    // A session of its own, as each process has it in a sandbox.
    const reader = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
    try {
      await once(reader.stdout, 'data')
      const stat = await steady(() => client.unary('filesystem.Filesystem/Stat', { path: '/etc/passwd' }))
      const health = await steady(() => client.send({ method: 'GET', path: '/health' }))
      const cat = await startCat(client, 'stdin')
      const input = await steady(cat.send)
      await cat.end()
      return [
        ...latencyRows(`Stat, ${PER_SECOND} a second beside a flood`, stat),
        ...latencyRows(`GET /health, ${PER_SECOND} a second beside a flood`, health),
        ...latencyRows(`SendInput and its echo, ${PER_SECOND} a second beside a flood`, input),
      ]
    } finally {
      await endFlood(client)
      reader.kill('SIGKILL')
    }
  },
}

/** Calls by the clock, whether those before are answered or not. */
async function steady(call: (index: number) => Promise<unknown>): Promise<Latency> {
  const calls: Promise<number>[] = []
  const began = performance.now()
  for (let i = 0; i < COUNT; i++) {
    const due = began + (i * 1000) / PER_SECOND
    await setTimeout(Math.max(0, due - performance.now()))
    calls.push(timed(() => call(i)))
  }
  const times = await Promise.all(calls)
  return { p50: quantile(times, 0.5), p95: quantile(times, 0.95), p99: quantile(times, 0.99) }
}

async function timed(call: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await call()
  return performance.now() - started
}

async function endFlood(client: Client): Promise<void> {
  await client.unary('process.Process/SendSignal', { process: { tag: TAG }, signal: 'SIGNAL_SIGKILL' })
}
