import { rmdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { expect, onTestFinished, type TestContext, test } from 'vitest'
import { type CgroupRoot, makeCgroupRoot } from '../_util/cgroup.ts'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsCgroups } from '../_util/namespace.ts'
import { asUser, type RunOptions, shell, start } from '../_util/rpc.ts'
import { list } from './calls.ts'
import { startedPid } from './following.ts'

const pty = { cols: 80, rows: 24 }

interface Placed {
  readonly daemon: Daemon
  readonly root: CgroupRoot
  /** The cgroup of a command from its point of view, as a path below the root; outside of it, from the namespace's. */
  groupOf(options?: RunOptions): Promise<string>
}

async function placed(context: TestContext, ...args: string[]): Promise<Placed> {
  needsCgroups(context)
  const root = makeCgroupRoot()
  onTestFinished(() => root[Symbol.asyncDispose]())
  const daemon = await startDaemon({ args: ['-cgroup-root', root.path, ...args] })
  onTestFinished(() => daemon[Symbol.asyncDispose]())
  const prefix = root.path.slice('/sys/fs/cgroup'.length)
  const groupOf = async (options?: RunOptions) => {
    const { stdout, pty: output } = await shell(daemon.url, 'cat /proc/self/cgroup', options)
    return groupIn(Buffer.concat([stdout, output]).toString(), prefix)
  }
  return { daemon, root, groupOf }
}

function groupIn(text: string, prefix = '/none'): string {
  const path = /^0::(\S*)/m.exec(text)?.[1] ?? ''
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length + 1) : path
}

test("D9 a command is in the cgroup `user`, one in a terminal in `ptys`, the platform's own in that of the daemon", async (context) => {
  const { daemon, groupOf } = await placed(context)
  const own = groupIn(await readFile(`/proc/${daemon.pid}/cgroup`, 'latin1'))
  expect(await groupOf()).toBe('user')
  expect(await groupOf({ tag: 'system' })).toBe('user')
  expect(await groupOf({ headers: asUser('user') })).toBe('user')
  expect(await groupOf({ pty })).toBe('ptys')
  expect(await groupOf({ tag: '_system' })).toBe(own)
  expect(await groupOf({ tag: '_system', pty })).toBe(own)
})

test('D9 what a command leaves behind stays in its cgroup', async (context) => {
  const { daemon, root } = await placed(context)
  const { stdout } = await shell(daemon.url, 'setsid sleep 1000 >/dev/null 2>&1 & echo $!')
  expect(root.read('user/cgroup.procs').split('\n')).toContain(stdout.toString().trim())
})

test('D9 K14 the start command is below the cgroup `user`', async (context) => {
  const { daemon, root } = await placed(context, '-isnotfc', '-start-cmd', 'exec sleep 1000', '-ready-cmd', 'true')
  await expect.poll(() => list(daemon.url), { timeout: 20_000 }).toMatchObject([{ tag: 'start' }])
  const [command] = await list(daemon.url)
  const text = await readFile(`/proc/${command?.pid}/cgroup`, 'latin1')
  const prefix = root.path.slice('/sys/fs/cgroup'.length)
  // One of its own in it.
  expect(groupIn(text, prefix)).toMatch(/^user\//)
})

test('H1 with -no-cgroups every command is in the cgroup of the daemon, and none is made', async (context) => {
  const { daemon, root, groupOf } = await placed(context, '-no-cgroups')
  const own = groupIn(await readFile(`/proc/${daemon.pid}/cgroup`, 'latin1'))
  expect([await groupOf(), await groupOf({ pty })]).toEqual([own, own])
  expect(root.groups()).toEqual([])
})

test('a daemon that is started anew puts commands beside those that live on', async (context) => {
  const { daemon, root } = await placed(context, '-kill-on-exit=false')
  const survivor = await startedPid(await start(daemon.url, 'sleep', { args: ['1000'] }))
  await daemon.stop()
  expect(root.read('user/cgroup.procs')).toBe(String(survivor))
  await using next = await startDaemon({ args: ['-cgroup-root', root.path] })
  const pid = await startedPid(await start(next.url, 'sleep', { args: ['1000'] }))
  expect(root.read('user/cgroup.procs').split('\n')).toEqual([survivor, pid].map(String))
})

test('D26 a start into a frozen cgroup holds up nothing else, and the command runs after the thaw', async (context) => {
  const { daemon, root, groupOf } = await placed(context)
  root.write('user/cgroup.freeze', '1')
  const waiting = Array.from({ length: 20 }, () => groupOf())
  const { status } = await sendWhole(`${daemon.url}/health`)
  expect(status).toBe(204)
  expect(await groupOf({ pty })).toBe('ptys')
  expect((await shell(daemon.url, 'echo alive', { tag: '_system' })).stdout.toString()).toBe('alive\n')
  root.write('user/cgroup.freeze', '0')
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['user']))
})

test('a cgroup that was removed is there again with the next command', async (context) => {
  const { root, groupOf } = await placed(context)
  expect(await groupOf()).toBe('user')
  for (let round = 0; round < 3; round++) {
    rmdirSync(`${root.path}/user`)
    expect(await Promise.all(Array.from({ length: 10 }, () => groupOf()))).toEqual(Array(10).fill('user'))
  }
})

test('a cgroup that takes no processes fails no command: it starts outside, which is reported once', async (context) => {
  const { daemon, root, groupOf } = await placed(context)
  // Its siblings are "domain invalid" from now on (cgroups(7)).
  root.write('socats/cgroup.type', 'threaded')
  const own = groupIn(await readFile(`/proc/${daemon.pid}/cgroup`, 'latin1'))
  expect([await groupOf(), await groupOf(), await groupOf({ pty })]).toEqual([own, own, own])
  await daemon.stop()
  expect(daemon.stdout().match(/commands start outside of their cgroup/g)).toHaveLength(1)
})
