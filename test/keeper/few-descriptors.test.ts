import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { shell, start } from '../_util/rpc.ts'
import { kill, list } from '../process/calls.ts'
import { crash, startKept, upgrade } from './crash.ts'

const launcher = fileURLToPath(new URL('../../scripts/envd', import.meta.url))

/** A daemon, and its keeper, that may open so few files. */
const startWithFiles = (files: number) =>
  startKept({ launch: ['/bin/sh', '-c', `ulimit -n ${files}; exec "$0" "$@"`, launcher] })

const FILES = 300

/** Commands that the keeper has room for, at five files each, when ends make room. */
const ROOM = Math.floor((FILES - 40) / 5)

/** Starts commands until one is refused. */
async function startCommands(url: string): Promise<number[]> {
  const pids: number[] = []
  for (;;) {
    const stream = await start(url, 'sleep', { args: ['1000'], tag: `${pids.length}` })
    const { value, done } = await stream.messages.next()
    if (done) return pids
    pids.push(value.event.start?.pid ?? 0)
    stream.close()
  }
}

test.each([
  ['a crash', crash],
  ['an upgrade', upgrade],
] as const)('N3 after %s another daemon comes with all commands that there was room for', async (_, exchange) => {
  await using daemon = await startWithFiles(FILES)
  for (let i = 0; i < 50; i++) await shell(daemon.url, 'true')
  const pids = await startCommands(daemon.url)
  expect(pids.length).toBeGreaterThanOrEqual(ROOM)
  await exchange(daemon)
  const kept = (await list(daemon.url)).map(({ pid }) => pid)
  expect(kept).toEqual(pids.slice(0, kept.length))
  expect(kept.length).toBeGreaterThanOrEqual(ROOM)
  for (const pid of kept.splice(0, 5)) await kill(daemon.url, { pid })
  await expect.poll(async () => (await list(daemon.url)).map(({ pid }) => pid)).toEqual(kept)
  expect((await shell(daemon.url, 'echo again')).stdout.toString()).toBe('again\n')
})
