import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { call, open, shell, start, transcript } from '../../_util/rpc.ts'
import { type FreezableDaemon, startCounting, startFreezable } from './daemon-rig.ts'

const LIST = 'process.Process/List'
const WAITS = 'a start waits for its cgroup to be thawed'

function waiting({ daemon }: FreezableDaemon): number {
  return daemon.stdout().split(WAITS).length - 1
}

async function untilWaiting(rig: FreezableDaemon, starts: number): Promise<void> {
  await expect.poll(() => waiting(rig)).toBe(starts)
}

async function freeze(rig: FreezableDaemon): Promise<void> {
  const answer = await rig.post('/freeze?maxWaitMs=10000')
  expect(JSON.parse(answer.text)).toMatchObject({ frozen: 2, notFrozen: 0 })
}

test('D26 a start into a frozen group waits without headers while every other call goes on, and runs after the thaw', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable({ args: ['-verbose'] })
  await freeze(rig)
  const seen = { headers: 0 }
  const starts = Array.from({ length: 40 }, async (_, index) => {
    const pty = index % 2 === 0 ? {} : { pty: { cols: 80, rows: 24 } }
    const stream = await start(rig.url, '/bin/sh', { args: ['-c', 'printf done'], http2: index % 4 > 1, ...pty })
    seen.headers += 1
    return transcript(stream)
  })
  await untilWaiting(rig, 40)
  for (let round = 0; round < 20; round++) {
    expect((await sendWhole(`${rig.url}/health`)).status).toBe(204)
    expect((await call(rig.url, LIST, {})).status).toBe(200)
    expect((await call(rig.url, 'filesystem.Filesystem/Stat', { path: '/' })).status).toBe(200)
  }
  expect(seen.headers).toBe(0)
  expect((await rig.post('/unfreeze')).status).toBe(204)
  for (const { end, stdout, pty } of await Promise.all(starts)) {
    expect(end?.exited).toBe(true)
    expect(`${stdout}${pty}`).toBe('done')
  }
  expect(waiting(rig)).toBe(40)
})

test('D26 a start of the platform itself goes on while everything is frozen', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  await freeze(rig)
  const { stdout, end } = await shell(rig.url, 'printf swept', { tag: '_system' })
  expect({ text: stdout.toString(), end }).toMatchObject({ text: 'swept', end: { exited: true } })
})

test('D26 D25 a start that waits ends with deadline_exceeded at its deadline, and nothing runs later', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable({ args: ['-verbose'] })
  await freeze(rig)
  const late = await start(rig.url, '/bin/sh', {
    args: ['-c', 'sleep 100'],
    headers: { 'connect-timeout-ms': '150' },
  })
  expect((await late.rest()).end.error).toMatchObject({
    code: 'deadline_exceeded',
    message: 'context deadline exceeded',
  })
  await rig.post('/unfreeze')
  expect((await shell(rig.url, 'printf on')).stdout.toString()).toBe('on')
  expect((await call(rig.url, LIST, {})).body).toEqual({})
})

test('D26 D21 a start whose client leaves while it waits is never run', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable({ args: ['-verbose'] })
  await freeze(rig)
  for (const http2 of [false, true]) {
    const controller = new AbortController()
    start(rig.url, '/bin/sleep', { args: ['100'], signal: controller.signal, http2 }).catch(() => {})
    await untilWaiting(rig, http2 ? 2 : 1)
    controller.abort()
  }
  await expect.poll(() => rig.daemon.stdout().split('"code":"canceled"').length - 1).toBe(2)
  await rig.post('/unfreeze')
  expect((await shell(rig.url, 'printf on')).stdout.toString()).toBe('on')
  expect((await call(rig.url, LIST, {})).body).toEqual({})
})

test('D26 a daemon that stops does not wait for starts that wait', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable({ args: ['-verbose'] })
  await freeze(rig)
  const left = start(rig.url, '/bin/sleep', { args: ['100'] })
  await untilWaiting(rig, 1)
  expect(await rig.daemon.stop()).toBe(0)
  expect((await (await left).rest()).end.error).toMatchObject({ code: 'unavailable' })
  expect(rig.frozen()).toEqual([])
})

test('a group that the guest has frozen holds up starts, not the daemon', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable({ args: ['-verbose'] })
  rig.root.write('user/cgroup.freeze', '1')
  const held = shell(rig.url, 'printf late')
  await untilWaiting(rig, 1)
  expect((await sendWhole(`${rig.url}/health`)).status).toBe(204)
  rig.root.write('user/cgroup.freeze', '0')
  expect((await held).stdout.toString()).toBe('late')
})

test('H11 SIGKILL ends a frozen command at once, List names it, and its end arrives before the thaw', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  const piped = await startCounting(rig.url)
  const terminal = await startCounting(rig.url, { pty: { cols: 80, rows: 24 } })
  await freeze(rig)
  const { body } = await call(rig.url, LIST, {})
  expect(body).toMatchObject({ processes: expect.arrayContaining([expect.objectContaining({ pid: piped.pid })]) })
  for (const { pid, stream } of [piped, terminal]) {
    const process = { process: { pid }, signal: 'SIGNAL_SIGKILL' }
    expect((await call(rig.url, 'process.Process/SendSignal', process)).status).toBe(200)
    const { messages } = await stream.rest()
    expect(messages.at(-1)?.event.end?.status).toBe('signal: killed')
  }
  expect(rig.frozen()).toEqual(['ptys', 'user'])
})

test('H11 a stream of a frozen command can be opened and begins again with the thaw', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  const { pid } = await startCounting(rig.url)
  await freeze(rig)
  const second = await open(rig.url, 'process.Process/Connect', { process: { pid } })
  await second.next()
  let lines = 0
  const reading = (async () => {
    for await (const { event } of second.messages) lines += event.data === undefined ? 0 : 1
  })().catch(() => {})
  await delay(60)
  const before = lines
  await delay(60)
  expect(lines).toBe(before)
  await rig.post('/init')
  await expect.poll(() => lines).toBeGreaterThan(before)
  second.close()
  await reading
})

test('D25 H11 the deadline of a command holds while it is frozen', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  const headers = { 'connect-timeout-ms': '3000' }
  const { stream } = await startCounting(rig.url, { headers })
  await freeze(rig)
  expect((await stream.rest()).end.error).toMatchObject({ code: 'deadline_exceeded' })
  await expect.poll(async () => (await call(rig.url, LIST, {})).body).toEqual({})
  expect(rig.frozen()).toEqual(['ptys', 'user'])
})
