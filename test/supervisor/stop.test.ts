import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { createRig, fileIn } from './rig.ts'

describe('stop', () => {
  test('sends SIGTERM to the session and waits for its end', async () => {
    const startCommand = `trap 'echo term >> log; exit 0' TERM; touch up; sleep 1000 & wait`
    await using rig = await createRig({ startCommand, readyCommand: '[ -e up ]', restart: 'always' })
    await rig.reaches('ready')
    await rig.supervisor.stop(NEVER)
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
    const stops = [rig.supervisor.stop(NEVER), rig.supervisor.stop(NEVER)]
    await Promise.all(stops)
    expect(rig.supervisor.status.state).toBe('stopped')
    expect([...rig.processes.list()]).toEqual([])
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
    await waiting.supervisor.stop(NEVER)
    init.resolve()
    await waiting.reaches('stopped')
    await using rig = await createRig({
      startCommand: 'exit 1',
      restart: 'always',
      pace: { firstBackOff: 60_000, maxBackOff: 60_000 },
    })
    await rig.reaches('backing off')
    await rig.supervisor.stop(NEVER)
    expect(rig.supervisor.status.state).toBe('stopped')
    expect(waiting.supervisor.status.state).toBe('stopped')
  })
})
