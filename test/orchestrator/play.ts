import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, type TestContext } from 'vitest'
import { call, pidOf, start } from '../_util/rpc.ts'
import { type Machine, makeMachine, needsMachine } from './machine.ts'
import { createOrchestrator, type Orchestrator, type Sandbox, tokenHeader, tokenOf } from './orchestrator.ts'
import { type Probe, startProbe } from './probing.ts'
import { MACHINE_PROCESSORS, runOnHost } from './processors.ts'

/** A machine, the platform that runs it, and its health checks. Disposing fails if any call missed its time. */
export interface Play extends AsyncDisposable {
  readonly machine: Machine
  readonly platform: Orchestrator
  readonly probe: Probe
}

/** Options of tests with a play. */
export const PLAYING = { timeout: 120_000 }

/** What an `/init` loop may take (contract K5). */
export const RESUME_MS = 10_000
export const BOOT_MS = 60_000

/** Skips the test where such a machine cannot be made. */
export async function startPlay(context: TestContext): Promise<Play> {
  await needsMachine(context)
  await using undo = new AsyncDisposableStack()
  undo.use(await runOnHost())
  const machine = undo.use(await makeMachine(context))
  const platform = createOrchestrator(machine)
  const probe = undo.use(await startProbe(machine.url))
  const owned = undo.move()
  return {
    machine,
    platform,
    probe,
    async [Symbol.asyncDispose]() {
      try {
        await expectNoMiss(platform, probe)
      } finally {
        await owned.disposeAsync()
      }
    },
  }
}

/** A sandbox with a token of the platform's. */
export function sandboxOf(id: string, more: Partial<Sandbox> = {}): Sandbox {
  return { id, templateId: 'template', token: tokenOf(id), ...more }
}

/** Commands that take twice as many processors as the machine has, for as long as they are not frozen. */
export async function startHogs(machine: Machine, sandbox: Sandbox): Promise<void> {
  for (let i = 0; i < MACHINE_PROCESSORS * 2; i++) {
    const hog = await start(machine.url, '/bin/sh', {
      args: ['-c', 'while :; do :; done'],
      headers: tokenHeader(sandbox),
    })
    await pidOf(hog)
  }
}

/** The pids that `List` reports. */
export async function listed(machine: Machine, sandbox: Sandbox): Promise<number[]> {
  const { body } = await call(machine.url, 'process.Process/List', {}, { headers: tokenHeader(sandbox) })
  // The cast: what the schema says of an answer.
  return ((body as { processes?: { pid: number }[] }).processes ?? []).map(({ pid }) => pid)
}

/** Resolves once a file of the machine has changed. */
export async function changes(machine: Machine, file: string): Promise<void> {
  const text = () => readFile(join(machine.root, file), 'utf8')
  const before = await text()
  await expect.poll(text).not.toBe(before)
}

async function expectNoMiss({ calls }: Orchestrator, probe: Probe): Promise<void> {
  // A short play may be over before each was asked for.
  await expect.poll(async () => Object.keys((await probe.report()).probed).sort()).toEqual(['/health', '/metrics'])
  await probe.stop()
  const { probed, misses } = await probe.report()
  console.log(JSON.stringify({ probed, calls: longestOf(calls) }))
  expect(misses).toEqual([])
  // An attempt of /init is repeated: what counts is that the loop ends in time, which `init` sees to.
  const missed = calls.filter(({ name, outcome }) => outcome === 'missed' && name !== '/init')
  expect(missed).toEqual([])
}

/** Calls by their names; the first after it began to listen, when nothing of it is warm, by itself. */
function longestOf(calls: Orchestrator['calls']): Record<string, { count: number; longest: number }> {
  const seen: Record<string, { count: number; longest: number }> = {}
  let coldStart = false
  for (const { name, ms, outcome } of calls) {
    const key = outcome === 'refused' ? `${name} refused` : coldStart ? `${name} cold` : name.replace(/\?.*/, '')
    const { count, longest } = seen[key] ?? { count: 0, longest: 0 }
    seen[key] = { count: count + 1, longest: Math.max(longest, Math.round(ms * 10) / 10) }
    coldStart = outcome === 'refused'
  }
  return seen
}
