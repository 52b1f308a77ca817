import { setTimeout as delay } from 'node:timers/promises'
import { sendWhole } from '../_util/http.ts'
import { asUser, type RunOptions, shell } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { type FakeMmds, startFakeMmds } from '../init/mmds/fake-mmds.ts'
import { type Collector, startCollector } from '../logs/collector.ts'
import {
  createOrchestrator,
  type Orchestrator,
  type Sandbox,
  tokenHeader,
  tokenOf,
} from '../orchestrator/orchestrator.ts'
import { GUEST, HOST, METADATA, makeTap, type Tap } from './network.ts'
import { type Architecture, makeDisk, type Qemu, startQemu } from './qemu.ts'

/** A virtual machine with the daemon as its service, and the platform around it. Disposing ends it at once. */
export interface Machine extends AsyncDisposable {
  readonly url: string
  readonly qemu: Qemu
  readonly mmds: FakeMmds
  readonly collector: Collector
  readonly platform: Orchestrator
  /** Headers of the platform's calls. */
  readonly headers: Readonly<Record<string, string>>
  /** Waits until the port is open. Gives milliseconds. */
  healthy(): Promise<number>
  /** The platform's loop of `/init`, by default with the time of this machine. */
  init(timestamp?: string): Promise<Readonly<Record<string, string>>>
  /** Standard output of a shell command of root, without white space at the end. Rejects unless it exits with 0. */
  sh(command: string, options?: RunOptions): Promise<string>
}

/** What the platform knows of the machine. */
export const SANDBOX: Sandbox = { id: 'i-vm', templateId: 'template', token: tokenOf('i-vm'), defaultUser: 'user' }

const INIT_LIMIT_MS = 120_000
/** What a boot, or the start of the daemon, may take where the processor is emulated, and shared. */
const HEALTHY_LIMIT_MS = 240_000

/** What is around machines, one after the other. */
export interface Surroundings extends AsyncDisposable {
  readonly tap: Tap
  readonly mmds: FakeMmds
  readonly collector: Collector
}

/** Makes them, at most once at a time. */
export async function makeSurroundings(): Promise<Surroundings> {
  await using undo = new AsyncDisposableStack()
  const tap = undo.use(await makeTap('10.1.0.1'))
  const mmds = undo.use(await startFakeMmds({ host: METADATA, port: 80 }, {}))
  const collector = undo.use(await startCollector(HOST))
  const owned = undo.move()
  return { tap, mmds, collector, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Boots one, at most one at a time; does not wait until it has started. Call `needsVm` first. */
export async function bootMachine(memoryMib: number, arch: Architecture = 'amd64'): Promise<Machine> {
  await using undo = new AsyncDisposableStack()
  const around = undo.use(await makeSurroundings())
  const { path: directory } = undo.use(await makeTmpDir())
  const disk = await makeDisk(directory, arch)
  const qemu = undo.use(await startQemu({ arch, memoryMib, disk, tap: around.tap.name, directory }))
  const owned = undo.move()
  return { ...surround(qemu, around), [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** What is the same for every machine that runs. */
export function surround(
  qemu: Qemu,
  { mmds, collector }: Surroundings,
  sandbox: Sandbox = SANDBOX,
): Omit<Machine, typeof Symbol.asyncDispose> {
  const url = `http://${GUEST}:49983`
  const platform = createOrchestrator({ url, mmds, collector })
  platform.provision(sandbox)
  const headers = tokenHeader(sandbox)
  return {
    url,
    qemu,
    mmds,
    collector,
    platform,
    headers,
    healthy: () => untilHealthy(url),
    init: (timestamp) => platform.init(sandbox, INIT_LIMIT_MS, timestamp),
    sh: async (command, options) => {
      const said = await shell(url, command, {
        ...options,
        headers: { ...headers, ...asUser('root'), ...options?.headers },
      })
      if (said.end?.exited === true && said.end.exitCode === undefined) return String(said.stdout).trimEnd()
      throw new Error(`${command}: ${JSON.stringify(said.end ?? said.streamEnd)} ${said.stdout}${said.stderr}`)
    },
  }
}

async function untilHealthy(url: string): Promise<number> {
  const before = performance.now()
  for (;;) {
    const status = await statusOf(url)
    if (status === 204) return Math.round(performance.now() - before)
    if (performance.now() - before > HEALTHY_LIMIT_MS) throw new Error(`/health: ${status}`)
    await delay(100)
  }
}

/** The status of `/health`; undefined: nothing listens, or answers in time. */
export async function statusOf(url: string, limitMs = 5000): Promise<number | undefined> {
  return sendWhole(`${url}/health`, { signal: AbortSignal.timeout(limitMs) }).then(
    ({ status }) => status,
    () => undefined,
  )
}
