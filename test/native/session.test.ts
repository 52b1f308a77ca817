import { constants } from 'node:os'
import { expect, test, vi } from 'vitest'
import { listSessions, openPipe, read, setNonBlocking, signalSessions, spawn } from '../../src/native/index.ts'
import { devNull, ended, plainSpec } from './run-process.ts'

const { SIGTERM, SIGKILL, SIGCONT } = constants.signals

/** A session whose leader has reported the pids of its members, in order. */
async function startSession(script: string, members: number) {
  const [reading, writing] = openPipe()
  setNonBlocking(reading)
  const args = ['-c', `${script}; wait`]
  const leader = await spawn({ ...plainSpec, file: 'sh', args, stdio: [devNull, writing, devNull] })
  const buffer = Buffer.alloc(1024)
  let text = ''
  const pids = await vi.waitUntil(
    () => {
      const length = read(reading, buffer, 0, buffer.length)
      if (length > 0) text += buffer.toString('latin1', 0, length)
      const lines = text.trim().split('\n').map(Number)
      return lines.length === members && text.endsWith('\n') ? lines : undefined
    },
    { timeout: 20_000 },
  )
  return { leader, pids }
}

/** Target and pid of each that was reached. */
async function reached(...targets: readonly (readonly [number, number, number, number])[]): Promise<number[][]> {
  const packed = await signalSessions(targets.flat())
  return Array.from({ length: packed.length / 8 }, (_, at) => [
    packed.readUInt32LE(at * 8),
    packed.readUInt32LE(at * 8 + 4),
  ])
}

const byPid = (a: number[], b: number[]) => (a[1] ?? 0) - (b[1] ?? 0)

test('one walk reaches the members of many sessions, and neither leaders nor who ignores SIGHUP', async () => {
  const first = await startSession(
    'sleep 60 & echo $!; sleep 60 & echo $!; nohup sleep 60 >/dev/null 2>&1 & echo $!',
    3,
  )
  const second = await startSession('sleep 60 & echo $!', 1)
  const [one = 0, two = 0, ignoring = 0] = first.pids
  const targets = [
    [second.leader.pid, SIGTERM, SIGCONT, 0],
    [first.leader.pid, SIGKILL, 0, 0],
  ] as const
  // The shell execs nohup a moment after it has reported the pid.
  await expect
    .poll(async () => (await reached([first.leader.pid, 0, 0, 0])).every(([, pid]) => pid !== ignoring))
    .toBe(true)
  const expected = [
    [0, second.pids[0] ?? 0],
    [1, one],
    [1, two],
  ]
  expect((await reached(...targets)).sort(byPid)).toEqual(expected.sort(byPid))
  expect(await ended(second.leader)).toEqual({ exitCode: 0 })
  process.kill(ignoring, 'SIGKILL')
  expect(await ended(first.leader)).toEqual({ exitCode: 0 })
})

test('no process is signalled once the number of a leader that is gone is used anew', async () => {
  const { leader, pids } = await startSession('sleep 60 & echo $!', 1)
  expect(await reached([leader.pid, SIGKILL, 0, 1])).toEqual([])
  expect(await reached([leader.pid, SIGKILL, 0, 0])).toEqual([[0, pids[0]]])
  await expect.poll(() => reached([leader.pid, 0, 0, 0])).toEqual([])
  await ended(leader)
})

test('targets that are no numbers are refused', () => {
  expect(() => signalSessions([-1, 0, 0, 0])).toThrow(TypeError)
  expect(() => signalSessions([1.5, 0, 0, 0])).toThrow(TypeError)
})

test('one walk finds the members of many sessions, leaders and who ignores SIGHUP among them, and no zombies', async () => {
  const first = await startSession('nohup sleep 60 >/dev/null 2>&1 & echo $!', 1)
  const second = await startSession('sleep 60 & echo $!', 1)
  const find = async () => {
    const packed = await listSessions([second.leader.pid, first.leader.pid])
    const numbers = Array.from({ length: packed.length / 4 }, (_, at) => packed.readUInt32LE(at * 4))
    return Array.from({ length: numbers.length / 2 }, (_, at) => numbers.slice(at * 2, at * 2 + 2)).sort(byPid)
  }
  const members = [first, second].flatMap(({ leader, pids }) => [leader.pid, ...pids].map((pid) => [leader.pid, pid]))
  expect(await find()).toEqual(members.sort(byPid))
  for (const pid of [...first.pids, ...second.pids]) process.kill(pid, 'SIGKILL')
  // The leaders have ended with them, and are zombies.
  await expect.poll(find).toEqual([])
  await Promise.all([ended(first.leader), ended(second.leader)])
  expect(() => listSessions([0])).toThrow(TypeError)
})
