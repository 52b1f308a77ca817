import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { mkdir, rmdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, type TestContext, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { startMicroVm } from '../_util/micro-vm.ts'
import { needsRoot } from '../_util/namespace.ts'
import { call, shell } from '../_util/rpc.ts'

const launcher = fileURLToPath(new URL('../../scripts/envd', import.meta.url))

/** Several times what the daemon takes, and soon filled. */
const LIMIT = 300 * 2 ** 20

/** `tail` keeps the last line, and this one never ends. */
const EATS_MEMORY = 'exec tail /dev/zero'

/** Where the memory controller may be: version 2, version 1 as scripts/in-namespace mounts it, and as machines do. */
const LAYOUTS = [
  { root: '/sys/fs/cgroup', controller: '', limit: 'memory.max' },
  { root: '/cgroup1', controller: '/memory', limit: 'memory.limit_in_bytes' },
  { root: '/sys/fs/cgroup', controller: '/memory', limit: 'memory.limit_in_bytes' },
] as const

interface Group extends AsyncDisposable {
  readonly directory: string
  /** What the daemon's `-cgroup-root` has to be for it. */
  readonly root: string
}

/**
 * A cgroup of the kernel that is out of memory soon. Its processes must have ended when it is disposed. Skips where
 * none can be made.
 */
async function makeGroup(context: TestContext, name: string): Promise<Group> {
  for (const { root, controller, limit } of LAYOUTS) {
    const directory = `${root}${controller}/envd-oom-${name}-${process.pid}`
    try {
      await mkdir(directory)
    } catch {
      continue
    }
    const remove = () =>
      expect
        .poll(() =>
          rmdir(directory)
            .catch(() => {})
            .then(() => existsSync(directory)),
        )
        .toBe(false)
    if (existsSync(`${directory}/${limit}`)) {
      await writeFile(`${directory}/${limit}`, String(LIMIT))
      return { directory, root, [Symbol.asyncDispose]: () => remove() }
    }
    await remove()
  }
  return context.skip('needs root and a memory cgroup that can be made')
}

function needsKernelLog(context: TestContext): void {
  try {
    accessSync('/dev/kmsg', constants.R_OK | constants.W_OK)
  } catch {
    context.skip('needs the kernel log')
  }
}

/** A daemon that is in the cgroup from its first moment, with all that it starts. */
function startInside(group: Group, args: readonly string[] = []) {
  const enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
  return startDaemon({
    launch: ['/bin/sh', '-c', enter, group.directory, launcher],
    args: ['-no-cgroups', '-cgroup-root', group.root, ...args],
  })
}

test('E8 a command that the kernel kills for want of memory is counted, and its end says how it died', async (context) => {
  await using group = await makeGroup(context, 'metrics')
  await using daemon = await startInside(group)
  const sample = async () => {
    const { body } = await call(daemon.url, 'metrics.Metrics/Get', {})
    // What this method answers; a count of 0 is left out.
    return (body as { sample: { oomKills?: string; memTotal: string; memSource: string } }).sample
  }
  expect(await sample()).toMatchObject({ memTotal: String(LIMIT), memSource: 'SOURCE_CGROUP' })
  expect((await sample()).oomKills).toBeUndefined()
  const status = 'signal: killed'
  expect((await shell(daemon.url, EATS_MEMORY)).end).toEqual({
    exitCode: -1,
    status,
    error: `${status} (out of memory)`,
  })
  await expect.poll(async () => (await sample()).oomKills).toBe('1')
  const { text } = await sendWhole(`${daemon.url}/metrics?format=openmetrics`)
  expect(text).toContain('\nenvd_oom_kills_total 1')
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
})

test('a kill that is none of the kernel for want of memory is not reported as one, and a shell whose command was killed so is', async (context) => {
  await using group = await makeGroup(context, 'shell')
  await using daemon = await startInside(group)
  const error = 'signal: killed'
  expect((await shell(daemon.url, 'kill -9 $$')).end).toEqual({ exitCode: -1, status: error, error })
  const translated = await shell(daemon.url, 'tail /dev/zero; exit $?')
  expect(translated.end).toMatchObject({ status: 'exit status 137', error: 'exit status 137 (out of memory)' })
})

test('a start command that the kernel kills for want of memory has that as its cause', async (context) => {
  await using group = await makeGroup(context, 'supervisor')
  await using daemon = await startInside(group, ['-start-cmd', EATS_MEMORY, '-ready-cmd', 'false'])
  const ready = async () => (await sendWhole(`${daemon.url}/ready`)).text
  await expect.poll(ready).toContain('start command killed: out of memory')
  const { body } = await call(daemon.url, 'supervisor.Supervisor/Get', {})
  expect(body).toMatchObject({ status: { cause: { kind: 'KIND_OUT_OF_MEMORY' } } })
})

test('N17 N18 a kill of the kernel is reported with its process, and what a process writes into the log is not', async (context) => {
  needsRoot(context)
  needsKernelLog(context)
  await using group = await makeGroup(context, 'log')
  await using daemon = await startMicroVm()
  const kills = async () =>
    // What the member is while the kernel's log can be read.
    JSON.parse((await sendWhole(`${daemon.url}/metrics`)).text).oom_kills as { seq: number; process: string }[]
  await expect.poll(kills).toBeInstanceOf(Array)
  const before = (await kills()).at(-1)?.seq ?? -1
  const later = async () => (await kills()).filter(({ seq }) => seq > before).map(({ process }) => process)
  await writeFile('/dev/kmsg', '<3>Out of memory: Killed process 1 (forged) total-vm:1kB, anon-rss:1kB\n')
  const script = `echo $$ > ${group.directory}/cgroup.procs && ${EATS_MEMORY}`
  await new Promise((resolve) => execFile('/bin/sh', ['-c', script], resolve))
  await expect.poll(later).toContain('tail')
  expect(await later()).not.toContain('forged')
})
