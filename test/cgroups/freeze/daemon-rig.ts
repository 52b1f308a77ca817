import { mkdirSync } from 'node:fs'
import { expect } from 'vitest'
import { type CgroupRoot, makeCgroupRoot } from '../../_util/cgroup.ts'
import { type Daemon, type DaemonOptions, startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { type ProcessMessage, type Stream, start } from '../../_util/rpc.ts'

/** A daemon with cgroups of its own. */
export interface FreezableDaemon extends AsyncDisposable {
  readonly url: string
  readonly daemon: Daemon
  readonly root: CgroupRoot
  post(path: string, options?: Parameters<typeof sendWhole>[1]): ReturnType<typeof sendWhole>
  /** The groups whose own `cgroup.freeze` is 1. */
  frozen(): string[]
}

/** Call `needsCgroups` first. @param groups made beforehand. */
export async function startFreezable(
  options: DaemonOptions = {},
  groups: readonly string[] = [],
): Promise<FreezableDaemon> {
  const root = makeCgroupRoot()
  for (const group of groups) mkdirSync(`${root.path}/${group}`, { recursive: true })
  const args = ['-cgroup-root', root.path, '-isnotfc', ...(options.args ?? [])]
  const daemon = await startDaemon({ ...options, args })
  return {
    url: daemon.url,
    daemon,
    root,
    post: (path, request = {}) => sendWhole(`${daemon.url}${path}`, { method: 'POST', body: '', ...request }),
    frozen: () => root.groups().filter((group) => root.read(`${group}/cgroup.freeze`) === '1'),
    async [Symbol.asyncDispose]() {
      try {
        await daemon[Symbol.asyncDispose]()
      } finally {
        await root[Symbol.asyncDispose]()
      }
    },
  }
}

/** A command that counts on its output. */
export interface CountingCommand {
  readonly pid: number
  /** Resolves once it has counted on. */
  counts(): Promise<void>
  readonly stream: Stream<ProcessMessage>
}

/** Starts one; it ends with the daemon. */
export async function startCounting(url: string, options: Parameters<typeof start>[2] = {}): Promise<CountingCommand> {
  const script = 'while :; do echo x; sleep 0.005; done'
  const stream = await start(url, '/bin/sh', { args: ['-c', script], stdin: false, ...options })
  const pid = (await stream.next()).event.start?.pid ?? 0
  expect(pid).toBeGreaterThan(0)
  const counts = async () => {
    // What it wrote before it was stopped is in the stream already, one message for each line at most.
    for (let messages = 0; messages < 3; messages++) await stream.next()
  }
  await counts()
  return { pid, counts, stream }
}

/** Where a process is, from its cgroup namespace's root. */
export function isIn(root: CgroupRoot, group: string, pid: number): boolean {
  return root.read(`${group}/cgroup.procs`).split('\n').includes(String(pid))
}
