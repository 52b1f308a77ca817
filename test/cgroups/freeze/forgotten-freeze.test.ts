import { expect, type TestContext, test } from 'vitest'
import { createFilesystemFreeze } from '../../../src/cgroups/freeze/filesystem-freeze.ts'
import { type FreezeStore, freezeFor, type KeptFreeze } from '../../../src/cgroups/freeze/kept-freeze.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { makeLoopDisk, needsLoopDisks } from '../../_util/loop-disk.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { takesWrites } from './frozen-daemon.ts'

const nothing = () => Promise.resolve()

/** The switch of a filesystem that is there for it. */
async function freezeOf(
  context: TestContext,
  options: { thawAfter?: number; before?: () => Promise<void>; kept?: FreezeStore },
) {
  await needsLoopDisks(context)
  await using undo = new AsyncDisposableStack()
  const directory = undo.use(await makeTmpDir())
  const { path, freeze: freezeElsewhere } = undo.use(await makeLoopDisk(directory.path, context))
  const { log, lines } = recordingLog()
  const freeze = createFilesystemFreeze({ path, before: nothing, log, ...options })
  const owned = undo.move()
  return {
    freeze,
    freezeElsewhere,
    messages: () => lines.map(({ message }) => message),
    isFrozen: async () => !(await takesWrites(`${path}/probe`)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

test('a freeze that is forgotten ends by itself, and says so', async (context) => {
  await using disk = await freezeOf(context, { thawAfter: 1500 })
  await disk.freeze.freeze(NEVER)
  expect(await disk.isFrozen()).toBe(true)
  await expect.poll(disk.messages).toContain('filesystem thawed')
  expect(disk.messages()).toContain('a frozen filesystem was forgotten, it is thawed')
  expect(await disk.isFrozen()).toBe(false)
})

test('a freeze that was thawed in time, or that others made, does not end by itself', async (context) => {
  await using disk = await freezeOf(context, { thawAfter: 300 })
  await disk.freeze.freeze(NEVER)
  await disk.freeze.thaw()
  await disk.freezeElsewhere()
  await disk.freeze.freeze(NEVER)
  expect(await disk.isFrozen()).toBe(true)
  expect(disk.messages()).not.toContain('a frozen filesystem was forgotten, it is thawed')
  await disk.freeze.close()
  expect(await disk.isFrozen()).toBe(true)
})

test('closing thaws what was frozen from here', async (context) => {
  await using disk = await freezeOf(context, {})
  await disk.freeze.freeze(NEVER)
  await disk.freeze.close()
  expect(await disk.isFrozen()).toBe(false)
})

test('what is to be done before a freeze is done, and a hang of it holds nothing up', async (context) => {
  let calls = 0
  const before = () => {
    calls++
    return new Promise<void>(() => {})
  }
  await using disk = await freezeOf(context, { before })
  await disk.freeze.freeze(NEVER)
  expect(calls).toBe(1)
  expect(await disk.isFrozen()).toBe(true)
})

test('B60 a freeze that is cancelled while it waits for its turn is not made, a thaw after it is', async (context) => {
  const held = Promise.withResolvers<void>()
  await using disk = await freezeOf(context, { before: () => held.promise })
  const first = disk.freeze.freeze(NEVER)
  const client = new AbortController()
  const second = disk.freeze.freeze(client.signal)
  const third = disk.freeze.thaw()
  client.abort(new Error('gone'))
  await expect(second).rejects.toThrow('gone')
  held.resolve()
  await Promise.all([first, third])
  expect(disk.messages()).toEqual(['filesystem frozen', 'filesystem thawed'])
  expect(await disk.isFrozen()).toBe(false)
})

test('B60 what cannot be frozen or is not there is reported with the reason', async () => {
  const { log } = recordingLog()
  const of = (path: string) => createFilesystemFreeze({ path, before: nothing, log })
  const root = process.getuid?.() === 0
  const reason = root ? 'operation not supported' : 'operation not permitted'
  await expect(of('/proc').freeze(NEVER)).rejects.toMatchObject({
    kind: 'internal',
    message: `FIFREEZE /proc: ${reason}`,
  })
  await expect(of('/nowhere').thaw()).rejects.toThrow('FITHAW /nowhere: no such file or directory')
  await expect(of('/nowhere').freeze(NEVER)).rejects.toThrow('FIFREEZE /nowhere: no such file or directory')
})

test('H9 a freeze of the last daemon ends when its time is over, and is kept until then', async (context) => {
  const written: (KeptFreeze | undefined)[] = []
  const kept = { before: freezeFor(3000), write: (freeze: KeptFreeze | undefined) => void written.push(freeze) }
  await using disk = await freezeOf(context, { kept })
  await disk.freezeElsewhere()
  expect(await disk.isFrozen()).toBe(true)
  await expect.poll(disk.messages).toContain('a frozen filesystem was forgotten, it is thawed')
  await expect.poll(disk.isFrozen).toBe(false)
  expect(written.at(0)?.until).toBeLessThanOrEqual(kept.before.until + 100)
  expect(written.at(-1)).toBe(undefined)
})
