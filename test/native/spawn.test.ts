import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { expect, test } from 'vitest'
import { close, noFileLimit, openPipe, openTerminal, spawn } from '../../src/native/index.ts'
import { needsNamespace, needsRoot } from '../_util/namespace.ts'
import { devNull, ended, plainSpec, readAll, run, shell } from './run-process.ts'

const user = { uid: 1000, gid: 1000, groups: [1000, 27, 29, 44] }
const nobody = { uid: 65534, gid: 65534, groups: [65534] }
const numbers = (text: string) =>
  text
    .trim()
    .split(/\s+/)
    .map(Number)
    .sort((a, b) => a - b)

test('D7 the groups of a command are those that su gives its user', async (context) => {
  needsNamespace(context)
  const expected = execFileSync('su', ['-', 'user', '-c', 'id -G']).toString()
  expect(numbers(await shell('id -G', { user }))).toEqual(numbers(expected))
  expect(numbers(expected)).toHaveLength(4)
})

test('D7 user and group are dropped for good: real, effective, saved and file system ids, and all capabilities', async (context) => {
  needsRoot(context)
  const status = await shell('cat /proc/self/status', { user: nobody })
  expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m)
  expect(status).toMatch(/^Gid:\t65534\t65534\t65534\t65534$/m)
  expect(status).toMatch(/^CapPrm:\t0+$/m)
  expect(status).toMatch(/^CapEff:\t0+$/m)
  expect(readFileSync('/proc/self/status', 'utf8')).toMatch(/^Uid:\t0\t0\t0\t0$/m)
})

test('an empty list of groups leaves none', async (context) => {
  needsRoot(context)
  expect(await shell('grep ^Groups: /proc/self/status', { user: { uid: 65534, gid: 65534, groups: [] } })).toMatch(
    /^Groups:\s*$/,
  )
})

test('with 20 terminals and pipes open a child has descriptors 0, 1 and 2 only', async () => {
  const open = Array.from({ length: 20 }, () => [...openTerminal(80, 24), ...openPipe()]).flat()
  expect(numbers(await shell('ls /proc/$$/fd'))).toEqual([0, 1, 2])
  for (const fd of open) close(fd)
})

test('descriptors that are themselves 0, 1 or 2 can be passed in any order', async () => {
  const [reading, writing] = openPipe()
  const links = [2, 0].map((fd) => readlinkSync(`/proc/self/fd/${fd}`))
  const script = 'readlink /proc/$$/fd/0 /proc/$$/fd/2'
  const child = await spawn({ ...plainSpec, file: '/bin/sh', args: ['-c', script], stdio: [2, writing, 0] })
  close(writing)
  expect((await readAll(reading)).trim().split('\n')).toEqual(links)
  close(reading)
  await ended(child)
})

test('a child has the limit of memory that it is given', async () => {
  expect(await shell('ulimit -Sv; ulimit -Hv', { memory: 512 * 1024 * 1024 })).toBe('524288\n524288\n')
})

test.each([2 ** 63, 2 ** 64, 0, 1.5])('a limit of memory of %d bytes is refused', async (memory) => {
  await expect(async () => spawn({ ...plainSpec, memory })).rejects.toThrow('memory must be an integer')
})

test('the NOFILE soft limit is the one asked for, and the daemon keeps its own', async () => {
  const before = noFileLimit()
  expect(await shell('ulimit -Sn; ulimit -Hn', { noFile: 777 })).toBe(`777\n${before[1]}\n`)
  expect(noFileLimit()).toEqual(before)
})

test('a NOFILE soft limit above the hard one ends at the hard one', async () => {
  const [, hard] = noFileLimit()
  for (const noFile of [2 ** 31 - 1, Number.POSITIVE_INFINITY]) {
    expect(await shell('ulimit -Sn', { noFile })).toBe(`${hard}\n`)
  }
})

test('every signal is at its default in a child and none is blocked, whatever the daemon does', async () => {
  const listener = () => undefined
  process.on('SIGINT', listener)
  // Node itself ignores SIGPIPE and SIGXFSZ.
  expect(readFileSync('/proc/self/status', 'utf8')).toMatch(/^SigIgn:\t0+1001000$/m)
  const status = await shell('cat /proc/self/status')
  process.off('SIGINT', listener)
  expect(status.match(/^Sig(Blk|Ign|Cgt):.*$/gm)).toEqual(
    ['SigBlk', 'SigIgn', 'SigCgt'].map((name) => `${name}:\t${'0'.repeat(16)}`),
  )
})

test('D8 a command leads a session and a process group of its own', async () => {
  const child = await spawn({ ...plainSpec, file: 'sleep', args: ['60'] })
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ')
  expect(fields?.slice(2, 4)).toEqual([String(child.pid), String(child.pid)])
  process.kill(child.pid, 'SIGKILL')
  expect(await ended(child)).toEqual({ signal: 9, coreDumped: false })
})

test('D2 oom_score_adj, nice and the I/O priority apply to the command and not to the daemon', async () => {
  const before = readFileSync('/proc/self/oom_score_adj', 'utf8')
  const settings = { oomScoreAdj: 500, nice: 7, ioPriority: (2 << 13) | 6 }
  expect(await shell('cat /proc/self/oom_score_adj; nice', settings)).toBe('500\n7\n')
  if (process.getuid?.() === 0) expect(await shell('ionice', settings)).toBe('best-effort: prio 6\n')
  expect(readFileSync('/proc/self/oom_score_adj', 'utf8')).toBe(before)
})

test('D3 a priority that cannot be set does not keep the command from starting', async () => {
  expect(await shell('echo started', { oomScoreAdj: 5000, nice: 1000, ioPriority: -1 })).toBe('started\n')
})

test('D6 D10 arguments and environment arrive untouched and complete', async () => {
  const args = ['-c', 'printf "%s|" "$0" "$@"; env', '', '--', ' a  b ', '$HOME', "'", 'ä\u{1f600}\n']
  const { output } = await run({ file: '/bin/sh', args, env: ['X= y=z', 'EMPTY='] })
  expect(output).toBe("|--| a  b |$HOME|'|ä\u{1f600}\n|X= y=z\nEMPTY=\nPWD=/\n")
})

test('D12 the working directory is entered as the user', async (context) => {
  needsRoot(context)
  expect(await shell('/bin/pwd', { cwd: '/usr/./lib', user: nobody })).toBe('/usr/lib\n')
})

test("the umask is the daemon's", async () => {
  const own = process.umask(0o27)
  expect(await shell('umask')).toBe('0027\n')
  process.umask(own)
})

test('D39 the status distinguishes exit codes from signals', async () => {
  expect((await run({ file: '/bin/sh', args: ['-c', 'exit 255'] })).status).toEqual({ exitCode: 255 })
  expect((await run({ file: '/bin/sh', args: ['-c', 'kill -TERM $$'] })).status).toEqual({
    signal: 15,
    coreDumped: false,
  })
})

test('D39 a core dump is reported', async (context) => {
  const cwd = '/tmp'
  const { status } = await run({ file: '/bin/sh', args: ['-c', 'ulimit -c unlimited && kill -QUIT $$'], cwd })
  if ('exitCode' in status) return context.skip('the core limit cannot be raised here')
  expect(status.signal).toBe(3)
  expect(typeof status.coreDumped).toBe('boolean')
})

test('100 starts at the same time each have a process of their own', async () => {
  const children = await Promise.all(
    Array.from({ length: 100 }, () => spawn({ ...plainSpec, stdio: [devNull, devNull, devNull] })),
  )
  expect(new Set(children.map((child) => child.pid)).size).toBe(100)
  expect(await Promise.all(children.map(ended))).toEqual(children.map(() => ({ exitCode: 0 })))
})
