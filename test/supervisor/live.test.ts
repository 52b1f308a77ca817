import { readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { freePort } from './free-port.ts'
import { createRig, fileIn, runsOf } from './rig.ts'

const SERVICE = fileURLToPath(new URL('fixtures/counter-service.ts', import.meta.url))

const pace = { liveInterval: 20, liveTimeout: 5_000 }

describe('after readiness the ready command is repeated', () => {
  const startCommand = 'echo run >> runs; touch up; exec sleep 1000'
  const readyCommand = 'echo probed; [ -e up ]'

  test('its first failure degrades, the third in a row starts the command again', async () => {
    await using rig = await createRig({ startCommand, readyCommand, restart: 'on-failure', pace })
    await rig.reaches('ready')
    await rm(fileIn(rig, 'up'))
    const { reason, cause, output, pid } = await rig.reaches('degraded')
    expect([reason, cause?.kind, String(output)]).toEqual([
      'ready command failing: exit status 1',
      'not live',
      'probed\n',
    ])
    expect(pid).toBeDefined()
    expect(await rig.reaches('backing off')).toMatchObject({
      reason: expect.stringMatching(
        /^not ready any more: ready command failing: exit status 1, 3 times in a row; it is started again after /,
      ),
    })
    expect(await rig.reaches('ready')).toMatchObject({ restarts: 1 })
    expect(await runsOf(rig.dir)).toBe(2)
  })

  test('without restarts it stays degraded until the command succeeds again', async () => {
    await using rig = await createRig({ startCommand, readyCommand, pace })
    const { pid } = await rig.reaches('ready')
    await rm(fileIn(rig, 'up'))
    await rig.reaches('degraded')
    const before = rig.history.length
    // Each of them would be reported if it changed anything.
    await expect.poll(() => rig.logged.filter(({ message }) => message === 'process_end').length).toBeGreaterThan(8)
    expect(rig.history.length).toBe(before)
    await writeFile(fileIn(rig, 'up'), '')
    expect(await rig.reaches('ready')).toMatchObject({ restarts: 0, pid })
    expect(await runsOf(rig.dir)).toBe(1)
  })

  test('how many failures it takes can be set, and it can be switched off', async () => {
    const live = { command: undefined, interval: 0, timeout: 0, failures: 1 }
    await using rig = await createRig({ startCommand, readyCommand, restart: 'always', live, pace })
    await rig.reaches('ready')
    await rm(fileIn(rig, 'up'))
    expect(await rig.reaches('backing off')).toMatchObject({ cause: { kind: 'not live', failures: 1 } })
    await using off = await createRig({ startCommand, readyCommand, pace: { liveInterval: 0 } })
    await off.reaches('ready')
    await expect.poll(() => [...off.processes.list()]).toHaveLength(1)
  })

  test('without a start command there is nothing to start again', async () => {
    await using rig = await createRig({ readyCommand: '[ ! -e down ]', restart: 'always', pace })
    await rig.reaches('ready')
    await writeFile(fileIn(rig, 'down'), '')
    await rig.reaches('degraded')
    await rm(fileIn(rig, 'down'))
    await rig.reaches('ready')
    expect(rig.history.map(({ state }) => state)).not.toContain('backing off')
  })

  test('Stop ends it while degraded, and nothing is repeated after that', async () => {
    await using rig = await createRig({ startCommand, readyCommand, pace })
    await rig.reaches('ready')
    await rm(fileIn(rig, 'up'))
    await rig.reaches('degraded')
    await rig.supervisor.stop(NEVER)
    expect(rig.supervisor.status.state).toBe('stopped')
    await expect.poll(() => [...rig.processes.list()]).toEqual([])
  })
})

test('a live command takes the place of the ready command; one that hangs has failed', async () => {
  const live = { command: '[ ! -e hang ] || sleep 1000', interval: 0, timeout: 0, failures: 2 }
  await using rig = await createRig({
    startCommand: 'rm -f hang; touch up; exec sleep 1000',
    readyCommand: '[ -e up ]',
    restart: 'on-failure',
    live,
    pace: { liveInterval: 20, liveTimeout: 300 },
  })
  await rig.reaches('ready')
  await writeFile(fileIn(rig, 'hang'), '')
  expect((await rig.reaches('degraded')).reason).toBe('live command failing: took longer than 0.3 s')
  await rig.reaches('backing off')
  await rig.reaches('ready')
})

test('a ready command that takes its time is given three times of it when it is repeated', async () => {
  await using rig = await createRig({
    startCommand: 'exec sleep 1000',
    readyCommand: 'echo run >> runs; sleep 0.5',
    pace: { liveInterval: 1, liveTimeout: 1 },
  })
  await rig.reaches('ready')
  await expect.poll(() => runsOf(rig.dir)).toBeGreaterThan(2)
  expect(rig.history.map(({ state }) => state)).not.toContain('degraded')
})

test('/ready reports when the server behind the port was killed and its shell lives on', async () => {
  const dir = await makeTmpDir()
  onTestFinished(() => dir[Symbol.asyncDispose]())
  const port = await freePort()
  const start = `'${process.execPath}' '${SERVICE}' ${port} 0 & echo $! > pid; wait; sleep 1000`
  const args = ['-start-cmd', start, '-ready-cmd', `curl -sf localhost:${port}`, '-live-interval', '1']
  const home = ['-isnotfc', '-start-workdir', dir.path, '-start-env', `HOME=${dir.path}`]
  await using daemon = await startDaemon({ args: [...home, ...args, '-restart', 'on-failure'] })
  const ready = async () => {
    const { status, text } = await sendWhole(`${daemon.url}/ready`)
    return [status, text === '' ? '' : JSON.parse(text).state]
  }
  await expect.poll(ready, { timeout: 20_000 }).toEqual([204, ''])
  process.kill(Number(await readFile(`${dir.path}/pid`, 'utf8')), 'SIGKILL')
  await expect.poll(ready).toEqual([503, 'degraded'])
  await expect.poll(ready, { timeout: 20_000 }).toEqual([204, ''])
  const { body: got } = await call(daemon.url, 'supervisor.Supervisor/Get', {})
  expect(got).toMatchObject({ status: { state: 'STATE_READY', restarts: 1 } })
})
