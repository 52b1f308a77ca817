import { execFile, spawn as startNode } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, rmdirSync } from 'node:fs'
import { readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { close, pidfdSignal, SpawnFailure, type SpawnSpec, spawn } from '../../src/native/index.ts'
import { type CgroupRoot, makeCgroupRoot } from '../_util/cgroup.ts'
import { needsCgroups } from '../_util/namespace.ts'
import { straceMissing } from '../_util/strace.ts'
import { ended, plainSpec, shell } from './run-process.ts'

/** A cgroup named `work` in a root of its own, with a descriptor of it. */
interface Group extends AsyncDisposable {
  readonly root: CgroupRoot
  readonly fd: number
  /** The line of /proc/pid/cgroup of what is in it. */
  readonly line: string
  pids(): number[]
}

function makeGroup(): Group {
  const root = makeCgroupRoot()
  mkdirSync(`${root.path}/work`)
  const fd = openSync(`${root.path}/work`, 'r')
  return {
    root,
    fd,
    line: `0::${root.path.slice('/sys/fs/cgroup'.length)}/work\n`,
    pids: () => root.read('work/cgroup.procs').split('\n').filter(Boolean).map(Number),
    async [Symbol.asyncDispose]() {
      closeSync(fd)
      await root[Symbol.asyncDispose]()
    },
  }
}

const user = { uid: 1000, gid: 1000, groups: [1000] }

async function failureOf(spec: Partial<SpawnSpec>): Promise<unknown> {
  return spawn({ ...plainSpec, ...spec }).then(
    () => undefined,
    (error) => (error instanceof SpawnFailure ? `${error.stage} ${error.code}` : error),
  )
}

test('D9 a command starts in its cgroup, also as another user, and so does what it starts', async (context) => {
  needsCgroups(context)
  await using group = makeGroup()
  const script = 'cat /proc/self/cgroup; sh -c "cat /proc/self/cgroup | cat"'
  const lines = (text: string) => text.match(/^0::.*\n/gm)
  expect(lines(await shell(script, { cgroup: group.fd }))).toEqual([group.line, group.line])
  expect(lines(await shell(script, { cgroup: group.fd, user }))).toEqual([group.line, group.line])
  expect(await shell('cat /proc/self/cgroup')).not.toContain(group.line)
})

test('D9 D26 a command is in its cgroup before its first instruction: in a frozen one it is not even the program yet', async (context) => {
  needsCgroups(context)
  await using group = makeGroup()
  group.root.write('work/cgroup.freeze', '1')
  const output = shell('cat /proc/self/cgroup', { cgroup: group.fd })
  await expect.poll(group.pids, { timeout: 20_000 }).toHaveLength(1)
  expect(await readlink(`/proc/${group.pids()[0]}/exe`)).toBe(process.execPath)
  group.root.write('work/cgroup.freeze', '0')
  expect(await output).toContain(group.line)
})

test('D26 starts that wait for a frozen cgroup hold up no timer, no file and no other start', async (context) => {
  needsCgroups(context)
  await using group = makeGroup()
  group.root.write('work/cgroup.freeze', '1')
  // More than the thread pool has threads.
  const waiting = Array.from({ length: 40 }, (_, index) => shell(`echo ${index}`, { cgroup: group.fd }))
  await expect.poll(group.pids, { timeout: 20_000 }).toHaveLength(40)
  expect(await readFile('/proc/self/comm', 'utf8')).not.toBe('')
  expect(await shell('echo elsewhere')).toBe('elsewhere\n')
  expect(group.pids()).toHaveLength(40)
  group.root.write('work/cgroup.freeze', '0')
  expect(await Promise.all(waiting)).toEqual(waiting.map((_, index) => `${index}\n`))
})

test('a start that waits for a frozen cgroup can be killed, and is then over', async (context) => {
  needsCgroups(context)
  await using group = makeGroup()
  group.root.write('work/cgroup.freeze', '1')
  const child = spawn({ ...plainSpec, cgroup: group.fd })
  await expect.poll(group.pids, { timeout: 20_000 }).toHaveLength(1)
  group.root.write('work/cgroup.kill', '1')
  expect(await ended(await child)).toEqual({ signal: 9, coreDumped: false })
})

test('a command starts in a cgroup whose processes were all killed before', async (context) => {
  needsCgroups(context)
  await using group = makeGroup()
  const { pidfd } = await spawn({ ...plainSpec, file: 'sleep', args: ['1000'], cgroup: group.fd })
  group.root.write('work/cgroup.kill', '1')
  await expect.poll(group.pids).toEqual([])
  close(pidfd)
  expect(await shell('cat /proc/self/cgroup', { cgroup: group.fd })).toContain(group.line)
})

test('a daemon can end while a start waits for a frozen cgroup', async (context) => {
  needsCgroups(context)
  await using group = makeGroup()
  group.root.write('work/cgroup.freeze', '1')
  const script = join(import.meta.dirname, 'fixtures/exit-while-starting.ts')
  const daemon = startNode(process.execPath, [script, `${group.root.path}/work`], { stdio: 'ignore' })
  expect(await once(daemon, 'exit')).toEqual([7, null])
  expect(group.pids()).toHaveLength(1)
})

test('the descriptor may be closed as soon as the start is asked for', async (context) => {
  needsCgroups(context)
  await using group = makeGroup()
  const fd = openSync(`${group.root.path}/work`, 'r')
  const child = spawn({ ...plainSpec, file: 'sleep', args: ['1000'], cgroup: fd })
  closeSync(fd)
  const { pid, pidfd } = await child
  expect(group.pids()).toEqual([pid])
  pidfdSignal(pidfd, 9)
  await ended({ pid, pidfd })
})

test('a cgroup that is gone, one that takes no processes and what is none fail with the stage `cgroup`', async (context) => {
  needsCgroups(context)
  await using group = makeGroup()
  const gone = openSync(`${group.root.path}/work`, 'r')
  rmdirSync(`${group.root.path}/work`)
  expect(await failureOf({ cgroup: gone })).toMatch(/^cgroup (ENODEV|ENOENT)$/)
  mkdirSync(`${group.root.path}/work/threads`, { recursive: true })
  // Its siblings are "domain invalid" from now on.
  group.root.write('work/threads/cgroup.type', 'threaded')
  mkdirSync(`${group.root.path}/work/invalid`)
  const invalid = openSync(`${group.root.path}/work/invalid`, 'r')
  expect(await failureOf({ cgroup: invalid })).toBe('cgroup EOPNOTSUPP')
  const directory = openSync('/', 'r')
  expect(await failureOf({ cgroup: directory })).toBe('cgroup EBADF')
  expect(await failureOf({ cgroup: 1_000_000 })).toBe('cgroup EBADF')
  for (const fd of [gone, invalid, directory]) close(fd)
})

test('other failures keep their stage, and leave no process in the cgroup', async (context) => {
  needsCgroups(context)
  await using group = makeGroup()
  expect(await failureOf({ cgroup: group.fd, file: '/missing' })).toBe('exec ENOENT')
  expect(await failureOf({ cgroup: group.fd, cwd: '/missing' })).toBe('chdir ENOENT')
  expect(group.pids()).toEqual([])
})

test('without clone3 a command joins its cgroup by itself, and fails with the stage `cgroup` if it cannot', async (context) => {
  needsCgroups(context)
  if (straceMissing()) context.skip('needs strace')
  await using group = makeGroup()
  const script = join(import.meta.dirname, 'fixtures/spawn-into.ts')
  const report = async (path: string) => {
    const options = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=clone3', '-e', 'inject=clone3:error=ENOSYS']
    const { stdout } = await promisify(execFile)('strace', [...options, process.execPath, script, path])
    return stdout
  }
  expect(await report(`${group.root.path}/work`)).toContain(group.line)
  expect(await report('/')).toBe('cgroup ENOENT\n')
})
