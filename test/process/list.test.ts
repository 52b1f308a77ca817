import { afterEach, expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { type ProcessMessage, type RunOptions, type Stream, start } from '../_util/rpc.ts'
import { connect, kill, list, sendInput } from './calls.ts'
import { startedPid } from './following.ts'

const daemon = commonDaemon()
const running: { pid: number; stream: Stream<ProcessMessage> }[] = []

async function cat(options: RunOptions = {}): Promise<number> {
  const stream = await start(daemon.url, 'cat', options)
  const pid = await startedPid(stream)
  running.push({ pid, stream })
  return pid
}

afterEach(async () => {
  for (const { pid, stream } of running.splice(0)) {
    await kill(daemon.url, { pid })
    await stream.rest()
  }
})

async function pidBehind(tag: string): Promise<number> {
  const follower = await connect(daemon.url, { tag })
  const pid = await startedPid(follower)
  follower.close()
  return pid
}

test('D43 D44 every live process is listed as it was asked for, and nothing else', async () => {
  expect(await list(daemon.url)).toEqual([])
  const envs = { SECRET: 'in clear', EMPTY: '' }
  const full = await cat({ args: ['-', '-u'], envs, cwd: '/usr/../tmp/.', tag: 'tagged' })
  const bare = await cat()
  const empty = await cat({ cwd: '', tag: '' })
  const system = await cat({ tag: '_system' })
  const listed = await list(daemon.url)
  expect(listed).toHaveLength(4)
  expect(listed).toEqual(
    expect.arrayContaining([
      { config: { cmd: 'cat', args: ['-', '-u'], envs, cwd: '/usr/../tmp/.' }, pid: full, tag: 'tagged' },
      { config: { cmd: 'cat' }, pid: bare },
      { config: { cmd: 'cat', cwd: '' }, pid: empty, tag: '' },
      { config: { cmd: 'cat' }, pid: system, tag: '_system' },
    ]),
  )
})

test('D45 D46 D47 every tag is found among many, whatever the order', async () => {
  const tags = Array.from({ length: 20 }, (_, i) => `tag ${i}`)
  const pids = new Map<string, number>()
  for (const tag of tags) {
    pids.set(tag, await cat({ tag }))
    await cat()
  }
  for (const tag of tags.toReversed()) expect(await pidBehind(tag)).toBe(pids.get(tag))
})

test('D46 of several processes with one tag the newest live one is meant', async () => {
  const pids = [await cat({ tag: 'same' }), await cat({ tag: 'same' }), await cat({ tag: 'same' })]
  for (const pid of pids.toReversed()) {
    expect(await pidBehind('same')).toBe(pid)
    await kill(daemon.url, { pid })
    const ended = running.find((entry) => entry.pid === pid)
    await ended?.stream.rest()
    running.splice(
      running.findIndex((entry) => entry.pid === pid),
      1,
    )
  }
})

test('D48 an empty tag is a tag, and no tag is none', async () => {
  await cat()
  const empty = await cat({ tag: '' })
  await cat()
  expect(await pidBehind('')).toBe(empty)
  expect((await sendInput(daemon.url, { tag: '' }, { stdin: 'x' })).body).toEqual({})
})

test('D72 D74 a tag of 100 KB and 1,000 variables are kept verbatim', async () => {
  const tag = `${'x'.repeat(100_000)} \n\t é 漢`
  const envs = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`NAME_${i}`, `value ${i}`]))
  const pid = await cat({ tag, envs })
  expect(await list(daemon.url)).toEqual([{ config: { cmd: 'cat', envs }, pid, tag }])
  expect(await pidBehind(tag)).toBe(pid)
})
