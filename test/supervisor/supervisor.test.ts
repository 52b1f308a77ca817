import { writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { COUNT, createRig, fileIn, runsOf } from './rig.ts'

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
    expect([...rig.processes.list()]).toEqual([])
    expect(() => rig.supervisor.start()).toThrow('no start command is configured')
    await expect(rig.supervisor.stop(NEVER)).rejects.toThrow('no start command is configured')
  })

  test('a ready command alone is enough', async () => {
    await using rig = await createRig({ readyCommand: `${COUNT} 1 ]` })
    await rig.reaches('ready')
    expect(await runsOf(rig.dir)).toBe(2)
  })

  test('K15 without a ready command it is sleep 20 that counts', async () => {
    await using rig = await createRig({ startCommand: 'exec sleep 1000' })
    await expect.poll(() => [...rig.processes.list()]).toHaveLength(2)
    expect([...rig.processes.list()].map(({ tag, config }) => [tag, config?.args])).toEqual([
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
    await expect.poll(() => [...rig.processes.list()].map((process) => process.pid)).toEqual([pid])
    expect(() => rig.supervisor.start()).toThrow('the start command still runs')
    await rig.supervisor.stop(NEVER)
    expect(rig.supervisor.status).toMatchObject({ state: 'stopped', cause: { kind: 'requested' } })
    expect([...rig.processes.list()]).toEqual([])
  })

  test('of what the ready command writes the last 4 KiB are reported', async () => {
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
    await expect.poll(() => [...rig.processes.list()]).toEqual([])
  })

  test('one attempt that hangs is reported when all time is up', async () => {
    await using rig = await createRig({ readyCommand: 'sleep 1000', pace: { readyTimeout: 200 } })
    expect(await rig.reaches('failed')).toMatchObject({ reason: 'ready command failing: did not end within 0.2 s' })
    await expect.poll(() => [...rig.processes.list()]).toEqual([])
  })

  test('K14 a start command that exits with 0 may leave what is to be ready', async () => {
    const startCommand = '(sleep 0.3; touch made) & exit 0'
    await using rig = await createRig({ startCommand, readyCommand: '[ -e made ]' })
    await rig.reaches('ready')
    // Its end is reported once its output has ended, which what it left behind holds for as long as the file takes.
    await expect.poll(() => rig.supervisor.status).toMatchObject({ state: 'ready', pid: undefined })
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

test('it starts after the first /init where one is expected', async () => {
  const init = Promise.withResolvers<void>()
  await using rig = await createRig({
    startCommand: 'exec sleep 1000',
    readyCommand: 'true',
    afterInit: true,
    initialized: init.promise,
  })
  expect(rig.supervisor.status.state).toBe('waiting')
  expect([...rig.processes.list()]).toEqual([])
  init.resolve()
  await rig.reaches('ready')
})

test('closing ends the ready command and every plan, but not the start command', async () => {
  await using rig = await createRig({ startCommand: 'exec sleep 1000', readyCommand: 'sleep 1000' })
  await expect.poll(() => [...rig.processes.list()]).toHaveLength(2)
  rig.supervisor.close()
  await expect.poll(() => [...rig.processes.list()].map(({ tag }) => tag)).toEqual(['start'])
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
