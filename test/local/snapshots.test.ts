import { Sandbox } from 'e2b'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ControlPlane, startControlPlane } from './control-plane.ts'
import { connectionTo, createOn, killedAtEnd } from './sandbox.ts'

let plane: ControlPlane
beforeAll(async () => {
  plane = await startControlPlane()
})
afterAll(() => plane[Symbol.asyncDispose]())

const connection = () => connectionTo(plane)

test('a snapshot keeps the home, outlives its sandbox, and sandboxes begin with it', async () => {
  const sandbox = await createOn(plane)
  await sandbox.commands.run('echo one >file; ln -s file link; mkdir -m 700 closed')
  const { snapshotId, names } = await sandbox.createSnapshot({ name: 'mine' })
  expect([snapshotId, names]).toEqual(['mine:default', ['mine:default']])
  await sandbox.commands.run('echo two >file')
  await sandbox.kill()
  await using again = await createOn(plane, {}, snapshotId)
  expect(await again.files.read('file')).toBe('one\n')
  expect((await again.commands.run('readlink link; stat -c "%a %U" closed; whoami')).stdout).toMatch(
    /^file\n700 (.*)\n\1\n$/,
  )
  expect(await Sandbox.deleteSnapshot(snapshotId, connection())).toBe(true)
  expect(await Sandbox.deleteSnapshot(snapshotId, connection())).toBe(false)
  await using empty = await createOn(plane, {}, snapshotId)
  expect(await empty.files.list('.')).toEqual([])
})

test('snapshots are listed, by sandbox and by name', async () => {
  await using first = await createOn(plane)
  await using second = await createOn(plane)
  const one = await first.createSnapshot()
  const two = await second.createSnapshot({ name: 'named' })
  const list = async (query: object) => {
    const pages = Sandbox.listSnapshots({ ...connection(), ...query })
    const found: string[] = []
    while (pages.hasNext) found.push(...(await pages.nextItems()).map(({ snapshotId }) => snapshotId))
    return found
  }
  expect(await list({ limit: 1 })).toEqual([one.snapshotId, two.snapshotId])
  expect(await list({ sandboxId: first.sandboxId })).toEqual([one.snapshotId])
  expect(await list({ name: 'named' })).toEqual([two.snapshotId])
  for (const { snapshotId } of [one, two]) await Sandbox.deleteSnapshot(snapshotId, connection())
})

test('forks begin with the home and the variables, without the processes, and go their own way', async () => {
  await using origin = await createOn(plane, { envs: { SHARED: 'yes' } })
  await origin.files.write('file', 'origin')
  await origin.commands.run('exec sleep 1000', { background: true, timeoutMs: 0 })
  const forks = await origin.fork({ count: 2 })
  const made = forks.filter((fork) => fork instanceof Sandbox).map(killedAtEnd)
  expect(made).toHaveLength(2)
  for (const [index, fork] of made.entries()) {
    await using sandbox = fork
    expect(await sandbox.files.read('file')).toBe('origin')
    expect((await sandbox.commands.run('echo $SHARED $E2B_SANDBOX_ID')).stdout).toBe(`yes ${sandbox.sandboxId}\n`)
    expect(await sandbox.commands.list()).toEqual([])
    await sandbox.files.write('file', String(index))
  }
  expect(await origin.files.read('file')).toBe('origin')
  expect(await origin.commands.list()).toHaveLength(1)
})
