import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Cause } from '../../src/supervisor/cause.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { COUNT, createRig, fileIn, runsOf } from './rig.ts'

describe('when the start command fails', () => {
  test('K14 it is reported with its exit code and the last that it wrote, and the ready command ends', async () => {
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
    await expect.poll(() => [...rig.processes.list()]).toEqual([])
  })

  test('a signal is reported by its name', async () => {
    await using rig = await createRig({ startCommand: 'kill -SEGV $$', readyCommand: 'sleep 1000' })
    const { reason, cause } = await rig.reaches('failed')
    expect(reason).toMatch(/^start command ended by signal: segmentation fault/)
    expect(cause?.kind).toBe('signal')
  })

  test('a user or directory that does not exist is reported, and tried again if restarts are wanted', async () => {
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
    await expect.poll(() => runsOf(rig.dir)).toBe(2)
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

  test('what it left behind is ended before it is started again, but for what ignores SIGHUP', async () => {
    const startCommand = `${COUNT} 1 ] && { touch up; exec sleep 1000; }
      sleep 2000 & echo $! > left; trap '' HUP; sleep 3000 > /dev/null 2>&1 & echo $! > kept; exit 1`
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
    await expect.poll(() => [...rig.processes.list()]).toHaveLength(1)
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

  test('it is reported as such when it was the command or a child that the shell waited for', async () => {
    const causes = await Promise.all([causeOf('kill -KILL $$', 1), causeOf("sh -c 'kill -KILL $$'; exit $?", 1)])
    expect(causes.map((cause) => cause?.kind)).toEqual(['out of memory', 'out of memory'])
  })

  test('it is reported as a signal or an exit when the cgroup counted nothing, or it ended otherwise', async () => {
    const causes = await Promise.all([causeOf('kill -KILL $$', 0), causeOf('exit 1', 1)])
    expect(causes).toMatchObject([
      { kind: 'signal', signal: 'killed' },
      { kind: 'exit', code: 1 },
    ])
  })
})
