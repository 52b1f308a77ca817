import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Cause } from '../../src/supervisor/cause.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { createRig, fileIn } from './rig.ts'

const never = new AbortController().signal

/** Counts its runs in the file `runs`, and is true from a run on. */
const COUNT = 'echo run >> runs; [ $(wc -l < runs) -gt'

async function runsOf(dir: string): Promise<number> {
  return (await readFile(`${dir}/runs`, 'utf8')).split('\n').length - 1
}

describe('K14 K15 until it is ready', () => {
  test('K15 the ready command is repeated until it exits with 0', async () => {
    await using rig = await createRig({ startCommand: 'exec sleep 1000', readyCommand: `${COUNT} 3 ] || exit 7` })
    await rig.reaches('ready')
    expect(await runsOf(rig.dir)).toBe(4)
    expect(rig.history.map(({ state, reason }) => [state, reason])).toEqual([
      ['starting', 'starting'],
      ['starting', 'starting'],
      ['starting', 'ready command failing: exit status 7'],
      ['ready', 'ready'],
    ])
    const [first, second] = rig.history
    expect([first?.pid, second?.pid]).toEqual([undefined, expect.any(Number)])
    expect(rig.supervisor.status).toMatchObject({ state: 'ready', restarts: 0, pid: second?.pid, sequence: 4 })
  })

  test('without any command it is ready at once and runs nothing', async () => {
    await using rig = await createRig()
    expect(rig.supervisor.status).toMatchObject({ state: 'ready', reason: 'ready', sequence: 0 })
    expect(rig.processes.list().processes).toEqual([])
    expect(() => rig.supervisor.start()).toThrow('no start command is configured')
    await expect(rig.supervisor.stop(never)).rejects.toThrow('no start command is configured')
  })

  test('a ready command alone is enough', async () => {
    await using rig = await createRig({ readyCommand: `${COUNT} 1 ]` })
    await rig.reaches('ready')
    expect(await runsOf(rig.dir)).toBe(2)
  })

  test('K15 without a ready command it is sleep 20 that counts', async () => {
    await using rig = await createRig({ startCommand: 'exec sleep 1000' })
    await expect.poll(() => rig.processes.list().processes).toHaveLength(2)
    expect(rig.processes.list().processes.map(({ tag, config }) => [tag, config?.args])).toEqual([
      ['start', ['-l', '-c', 'exec sleep 1000']],
      ['ready', ['-l', '-c', 'sleep 20']],
    ])
    expect(rig.supervisor.status.state).toBe('starting')
  })

  test('one that is never ready fails when time is up, says why, and its start command lives on', async () => {
    const readyCommand = 'echo no luck; echo really none >&2; exit 7'
    await using rig = await createRig({ startCommand: 'exec sleep 1000', readyCommand, pace: { readyTimeout: 1000 } })
    const { reason, cause, output, pid } = await rig.reaches('failed')
    expect([reason, cause?.kind]).toEqual(['ready command failing: exit status 7', 'not ready'])
    expect(String(output).split('\n').sort().join('\n')).toBe('\nno luck\nreally none')
    expect(rig.processes.list().processes.map((process) => process.pid)).toEqual([pid])
    expect(() => rig.supervisor.start()).toThrow('the start command still runs')
    await rig.supervisor.stop(never)
    expect(rig.supervisor.status).toMatchObject({ state: 'stopped', cause: { kind: 'requested' } })
    expect(rig.processes.list().processes).toEqual([])
  })

  test('of what the ready command writes the last 4 KiB are told', async () => {
    const readyCommand = 'head -c 10000 /dev/zero | tr "\\0" a; echo end; exit 1'
    await using rig = await createRig({ readyCommand, pace: { readyTimeout: 1000 } })
    const { output } = await rig.reaches('failed')
    expect(String(output)).toBe(`${'a'.repeat(4092)}end\n`)
  })

  test('K15 an attempt that takes too long is killed with its session, and repeated', async () => {
    const readyCommand = `echo $$ >> pids; ${COUNT} 1 ] || sleep 1000`
    await using rig = await createRig({ readyCommand, pace: { attemptTimeout: 400 } })
    await rig.reaches('ready')
    expect(rig.history.map(({ reason }) => reason)).toContain('ready command failing: took longer than 0.4 s')
    await expect.poll(() => rig.processes.list().processes).toEqual([])
  })

  test('one attempt that hangs is told when all time is up', async () => {
    await using rig = await createRig({ readyCommand: 'sleep 1000', pace: { readyTimeout: 200 } })
    expect(await rig.reaches('failed')).toMatchObject({ reason: 'ready command failing: did not end within 0.2 s' })
    await expect.poll(() => rig.processes.list().processes).toEqual([])
  })

  test('K14 a start command that exits with 0 may leave what is to be ready', async () => {
    const startCommand = '(sleep 0.3; touch made) & exit 0'
    await using rig = await createRig({ startCommand, readyCommand: '[ -e made ]' })
    expect(await rig.reaches('ready')).toMatchObject({ pid: undefined })
  })

  test('one that exits with 0 when it was ready stays ready if the ready command still succeeds, else it is stopped', async () => {
    const startCommand = 'until [ -e go ]; do sleep 0.02; done; exit 0'
    for (const [readyCommand, state] of [
      ['true', 'ready'],
      ['[ ! -e go ]', 'stopped'],
    ] as const) {
      await using rig = await createRig({ startCommand, readyCommand })
      await rig.reaches('ready')
      const { pid } = rig.supervisor.status
      expect(pid).toBeDefined()
      await writeFile(fileIn(rig, 'go'), '')
      await expect.poll(() => rig.supervisor.status).toMatchObject({ state, pid: undefined })
      if (state === 'stopped') expect(rig.supervisor.status.reason).toBe('start command exited with 0')
    }
  })
})

describe('when the start command fails', () => {
  test('K14 it is told with its exit code and the last that it wrote, and the ready command ends', async () => {
    const startCommand = 'echo booting; sleep 0.1; echo cannot bind >&2; exit 3'
    await using rig = await createRig({ startCommand, readyCommand: 'sleep 1000' })
    const { reason, cause, output, pid, restarts } = await rig.reaches('failed')
    expect({ reason, kind: cause?.kind, pid, restarts }).toEqual({
      reason: 'start command exited with 3',
      kind: 'exit',
      pid: undefined,
      restarts: 0,
    })
    expect(String(output)).toBe('booting\ncannot bind\n')
    await expect.poll(() => rig.processes.list().processes).toEqual([])
  })

  test('a signal is told by its name', async () => {
    await using rig = await createRig({ startCommand: 'kill -SEGV $$', readyCommand: 'sleep 1000' })
    const { reason, cause } = await rig.reaches('failed')
    expect(reason).toMatch(/^start command ended by signal: segmentation fault/)
    expect(cause?.kind).toBe('signal')
  })

  test('a user or directory that does not exist is told, and tried again if restarts are wanted', async () => {
    await using wrong = await createRig({ startCommand: 'true', user: 'nobody-at-all' })
    expect(await wrong.reaches('failed')).toMatchObject({
      reason: "start command could not be started: invalid username: 'nobody-at-all'",
    })
    await using rig = await createRig({ startCommand: 'exec sleep 1000', readyCommand: 'true', restart: 'on-failure' })
    await rig.reaches('ready')
    const workdir = `${rig.dir}/later`
    await using late = await createRig({
      startCommand: 'mkdir x',
      readyCommand: '[ -e x ]',
      workdir,
      restart: 'on-failure',
    })
    expect((await late.reaches('backing off')).reason).toContain(`cwd '${workdir}' does not exist; it is started again`)
  })

  test('one that crashes twice, then lives, becomes ready', async () => {
    const startCommand = `${COUNT} 2 ] || exit 9; touch up; exec sleep 1000`
    await using rig = await createRig({ startCommand, readyCommand: '[ -e up ]', restart: 'on-failure' })
    expect(await rig.reaches('ready')).toMatchObject({ restarts: 2 })
    expect(await runsOf(rig.dir)).toBe(3)
    const states = rig.history.map(({ state }) => state).filter((state, i, all) => state !== all[i - 1])
    expect(states).toEqual(['starting', 'backing off', 'starting', 'backing off', 'starting', 'ready'])
    const waits = rig.history.filter(({ state }) => state === 'backing off')
    for (const { reason, nextStart = 0, since } of waits) {
      expect(reason).toMatch(/^start command exited with 9; it is started again after 0\.0\d+ s$/)
      expect(nextStart).toBeGreaterThan(since)
    }
  })

  test('on-failure leaves alone what exits with 0, always does not', async () => {
    const startCommand = `${COUNT} 99 ]; until [ -e go ]; do sleep 0.02; done; rm go; exit 0`
    await using rig = await createRig({ startCommand, readyCommand: '[ ! -e go ]', restart: 'always' })
    await rig.reaches('ready')
    await writeFile(fileIn(rig, 'go'), '')
    expect((await rig.reaches('backing off')).reason).toMatch(/^start command exited with 0; /)
    await rig.reaches('ready')
    expect(await runsOf(rig.dir)).toBe(2)
  })

  test('after ten restarts in a short time it is given up; a start by hand tries again', async () => {
    const pace = { firstBackOff: 1, maxBackOff: 2 }
    const startCommand = 'echo run >> runs; [ -e fixed ] && exec sleep 1000; exit 1'
    await using rig = await createRig({ startCommand, readyCommand: '[ -e fixed ]', restart: 'always', pace })
    expect(await rig.reaches('failed')).toMatchObject({
      restarts: 10,
      reason: 'start command exited with 1; given up after 10 restarts within 60 s',
    })
    expect(await runsOf(rig.dir)).toBe(11)
    await writeFile(fileIn(rig, 'fixed'), '')
    rig.supervisor.start()
    expect(() => rig.supervisor.start()).toThrow('the start command is starting')
    await rig.reaches('ready')
  })

  test('P4 what it left behind is ended before it is started again, but for what ignores SIGHUP', async () => {
    const startCommand = `${COUNT} 1 ] && { touch up; exec sleep 1000; }
      sleep 2000 & echo $! > left; nohup sleep 3000 > /dev/null 2>&1 & echo $! > kept; exit 1`
    await using rig = await createRig({ startCommand, readyCommand: '[ -e up ]', restart: 'on-failure' })
    await rig.reaches('ready')
    const alive = async (file: string) => {
      const pid = (await readFile(fileIn(rig, file), 'utf8')).trim()
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
      return stat !== '' && !/\) [ZX] /.test(stat)
    }
    expect([await alive('left'), await alive('kept')]).toEqual([false, true])
    process.kill(Number(await readFile(fileIn(rig, 'kept'), 'utf8')), 'SIGKILL')
  })

  test('one that is never ready is stopped and started again if restarts are wanted', async () => {
    const startCommand = `${COUNT} 1 ] && touch up; exec sleep 1000`
    const pace = { readyTimeout: 1000 }
    await using rig = await createRig({ startCommand, readyCommand: '[ -e up ]', restart: 'on-failure', pace })
    expect((await rig.reaches('backing off')).reason).toMatch(
      /^ready command failing: exit status 1; it is started again/,
    )
    await rig.reaches('ready')
    await expect.poll(() => rig.processes.list().processes).toHaveLength(1)
  })
})

describe('killed by the kernel for lack of memory', () => {
  /** How a command ends that counts `kills` in the events of its cgroup, then does `end`. */
  async function causeOf(end: string, kills: number): Promise<Cause | undefined> {
    await using dir = await makeTmpDir()
    const path = /^0::(.*)$/m.exec(await readFile('/proc/self/cgroup', 'utf8'))?.[1] ?? '/'
    const events = join(dir.path, path, 'memory.events')
    await mkdir(dirname(events), { recursive: true })
    await writeFile(events, 'low 0\noom 0\noom_kill 3\n')
    await using rig = await createRig({
      // The count before is taken as soon as it runs.
      startCommand: `sleep 1; echo "oom_kill $((3 + KILLS))" > "$EVENTS"; ${end}`,
      readyCommand: 'sleep 1000',
      cgroupRoot: dir.path,
      env: { EVENTS: events, KILLS: String(kills) },
    })
    const { cause } = await rig.reaches('failed')
    return cause
  }

  test('it is told as such when it was the command or a child that the shell waited for', async () => {
    const causes = await Promise.all([causeOf('kill -KILL $$', 1), causeOf("sh -c 'kill -KILL $$'; exit $?", 1)])
    expect(causes.map((cause) => cause?.kind)).toEqual(['out of memory', 'out of memory'])
  })

  test('it is told as a signal or an exit when the cgroup counted nothing, or it ended otherwise', async () => {
    const causes = await Promise.all([causeOf('kill -KILL $$', 0), causeOf('exit 1', 1)])
    expect(causes).toMatchObject([
      { kind: 'signal', signal: 'killed' },
      { kind: 'exit', code: 1 },
    ])
  })
})

describe('stop', () => {
  test('sends SIGTERM to the session and waits for its end', async () => {
    const startCommand = `trap 'echo term >> log; exit 0' TERM; touch up; sleep 1000 & wait`
    await using rig = await createRig({ startCommand, readyCommand: '[ -e up ]', restart: 'always' })
    await rig.reaches('ready')
    await rig.supervisor.stop(never)
    expect(await readFile(fileIn(rig, 'log'), 'utf8')).toBe('term\n')
    expect(rig.supervisor.status).toMatchObject({ state: 'stopped', reason: 'stopped on request', restarts: 0 })
    expect(rig.history.map(({ state }) => state).slice(-2)).toEqual(['stopping', 'stopped'])
    rig.supervisor.start()
    await rig.reaches('ready')
  })

  test('sends SIGKILL to what is left after the grace', async () => {
    const startCommand = `trap '' TERM; touch up; while :; do sleep 1; done`
    await using rig = await createRig({ startCommand, readyCommand: '[ -e up ]' })
    await rig.reaches('ready')
    const stops = [rig.supervisor.stop(never), rig.supervisor.stop(never)]
    await Promise.all(stops)
    expect(rig.supervisor.status.state).toBe('stopped')
    expect(rig.processes.list().processes).toEqual([])
  })

  test('goes on when the caller leaves', async () => {
    const startCommand = `trap 'sleep 0.2; exit 0' TERM; touch up; while :; do sleep 0.02; done`
    await using rig = await createRig({ startCommand, readyCommand: '[ -e up ]' })
    await rig.reaches('ready')
    const caller = new AbortController()
    const stopping = rig.supervisor.stop(caller.signal)
    caller.abort(new Error('left'))
    await expect(stopping).rejects.toThrow('left')
    await rig.reaches('stopped')
  })

  test('takes back a wait for the first /init and a back-off', async () => {
    const init = Promise.withResolvers<void>()
    await using waiting = await createRig({
      startCommand: 'touch up; sleep 1000',
      afterInit: true,
      initialized: init.promise,
    })
    expect(waiting.supervisor.status).toMatchObject({ state: 'waiting', reason: 'waiting for the first /init' })
    await waiting.supervisor.stop(never)
    init.resolve()
    await waiting.reaches('stopped')
    await using rig = await createRig({
      startCommand: 'exit 1',
      restart: 'always',
      pace: { firstBackOff: 60_000, maxBackOff: 60_000 },
    })
    await rig.reaches('backing off')
    await rig.supervisor.stop(never)
    expect(rig.supervisor.status.state).toBe('stopped')
    expect(waiting.supervisor.status.state).toBe('stopped')
  })
})

test('it starts after the first /init where one is expected', async () => {
  const init = Promise.withResolvers<void>()
  await using rig = await createRig({
    startCommand: 'exec sleep 1000',
    readyCommand: 'true',
    afterInit: true,
    initialized: init.promise,
  })
  expect(rig.supervisor.status.state).toBe('waiting')
  expect(rig.processes.list().processes).toEqual([])
  init.resolve()
  await rig.reaches('ready')
})

test('closing ends the ready command and every plan, but not the start command', async () => {
  await using rig = await createRig({ startCommand: 'exec sleep 1000', readyCommand: 'sleep 1000' })
  await expect.poll(() => rig.processes.list().processes).toHaveLength(2)
  rig.supervisor.close()
  await expect.poll(() => rig.processes.list().processes.map(({ tag }) => tag)).toEqual(['start'])
  expect(rig.supervisor.status.state).toBe('starting')
})

test('each change of state is logged, and nothing of commands and their output', async () => {
  const startCommand = 'echo SECRET; exit 4'
  await using rig = await createRig({ startCommand, readyCommand: 'echo SECRET; exit 1', env: { KEY: 'SECRET' } })
  await rig.reaches('failed')
  const lines = rig.logged.filter(({ message }) => message.startsWith('start command'))
  expect(lines.map(({ level, message }) => [level, message])).toEqual([
    ['info', 'start command: starting'],
    ['warn', 'start command: failed'],
  ])
  expect(lines[1]?.fields).toMatchObject({ state: 'failed', cause: 'exit', exit_code: 4 })
  expect(JSON.stringify(rig.logged)).not.toContain('SECRET')
})
