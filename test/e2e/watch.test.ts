import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { FilesystemEvent } from 'e2b'
import { describe, expect, test } from 'vitest'
import { createSandbox, type Sandbox, sdks, useDaemon } from './sdk.ts'

useDaemon()

/** The oldest release, the latest, and two of the time in between. */
const TESTED = ['1.0.1', '1.13.2', '2.19.5', '2.51.0']

async function newDirectory(sandbox: Sandbox): Promise<string> {
  return (await sandbox.commands.run('mktemp -d')).stdout.trim()
}

/** Events as they come, as `create name`. */
function listener() {
  const events: FilesystemEvent[] = []
  return {
    events,
    lines: () => events.map(({ type, name }) => `${type} ${name}`),
    onEvent: (event: FilesystemEvent) => {
      events.push(event)
    },
  }
}

describe.each(sdks.filter(({ version }) => TESTED.includes(version)))('files.watchDir of e2b $version', (sdk) => {
  test('C28 C29 an upload is reported as create, chmod, write; after stop nothing more comes', async () => {
    const sandbox = await createSandbox(sdk)
    const path = await newDirectory(sandbox)
    const { lines, onEvent } = listener()
    let exits = 0
    const handle = await sandbox.files.watchDir(path, onEvent, {
      onExit: () => {
        exits++
      },
    })
    await sandbox.files.write(`${path}/f`, 'content')
    await expect.poll(lines).toEqual(['create f', 'chmod f', 'write f'])
    await sandbox.files.rename(`${path}/f`, `${path}/g`)
    await sandbox.files.remove(`${path}/g`)
    await expect.poll(() => lines().slice(3)).toEqual(['rename f', 'create g', 'remove g'])
    await handle.stop()
    await expect.poll(() => exits).toBe(1)
    await sandbox.files.write(`${path}/h`, 'content')
    const other = listener()
    const again = await sandbox.files.watchDir(path, other.onEvent)
    await sandbox.files.write(`${path}/i`, 'content')
    await expect.poll(other.lines).toContain('write i')
    expect(lines()).toHaveLength(6)
    await again.stop()
  })

  if (sdk.since('1.0.6'))
    test('C31 with recursive directories that are made by an upload are followed', async () => {
      const sandbox = await createSandbox(sdk)
      const path = await newDirectory(sandbox)
      const { lines, onEvent } = listener()
      const handle = await sandbox.files.watchDir(path, onEvent, { recursive: true })
      await sandbox.files.write(`${path}/my-folder/my-file`, 'content')
      await expect.poll(lines).toContain('create my-folder/my-file')
      await sandbox.files.write(`${path}/my-folder/my-file`, 'more')
      await expect.poll(lines).toContain('write my-folder/my-file')
      await handle.stop()
    })

  test('C26 C33 what cannot be watched is an error, and a directory that goes ends the watching with one', async () => {
    const sandbox = await createSandbox(sdk)
    const { NotFoundError } = await sdk.load()
    await expect(sandbox.files.watchDir('/not/there', () => {})).rejects.toBeInstanceOf(NotFoundError)
    const path = await newDirectory(sandbox)
    const ended = Promise.withResolvers<Error | undefined>()
    const { lines, onEvent } = listener()
    await sandbox.files.watchDir(path, onEvent, { onExit: ended.resolve })
    await sandbox.files.remove(path)
    expect(String(await ended.promise)).toContain(`the watched directory ${path} was removed`)
    expect(lines()).toEqual(['remove .'])
  })

  test('C27 the timeout of a watch ends it with an error', async () => {
    const sandbox = await createSandbox(sdk)
    const path = await newDirectory(sandbox)
    const ended = Promise.withResolvers<Error | undefined>()
    await sandbox.files.watchDir(path, () => {}, { timeoutMs: 400, onExit: ended.resolve })
    expect(await ended.promise).toBeInstanceOf(Error)
  })

  if (sdk.since('2.30.0'))
    test('C39 with includeEntry events carry their entry', async () => {
      const sandbox = await createSandbox(sdk)
      const path = await newDirectory(sandbox)
      const { events, onEvent } = listener()
      const handle = await sandbox.files.watchDir(path, onEvent, { includeEntry: true })
      await sandbox.files.write(`${path}/f`, 'content')
      await expect.poll(() => events.length).toBe(3)
      expect(events[0]?.entry).toMatchObject({ name: 'f', path: `${path}/f`, type: 'file', owner: 'user' })
      expect(events[2]?.entry).toMatchObject({ size: 7 })
      await sandbox.files.remove(`${path}/f`)
      await expect.poll(() => events.at(-1)).toMatchObject({ type: 'remove', name: 'f' })
      expect(events.at(-1)?.entry).toBeUndefined()
      await handle.stop()
    })

  if (sdk.since('2.30.0'))
    test('C26 with allowNetworkMounts a network mount is watched, without it is refused', async (context) => {
      const sandbox = await createSandbox(sdk)
      const [remote, mounted] = [await newDirectory(sandbox), await newDirectory(sandbox)]
      const failed = await promisify(execFile)('bindfs', [remote, mounted]).then(
        () => undefined,
        (error: Error) => error.message.trim(),
      )
      if (failed !== undefined) context.skip(`no FUSE mount with bindfs: ${failed}`)
      const { InvalidArgumentError } = await sdk.load()
      await expect(sandbox.files.watchDir(mounted, () => {})).rejects.toBeInstanceOf(InvalidArgumentError)
      const { lines, onEvent } = listener()
      const handle = await sandbox.files.watchDir(mounted, onEvent, { allowNetworkMounts: true })
      await sandbox.files.write(`${remote}/foreign`, 'x')
      await expect.poll(lines).toEqual(['create foreign'])
      await handle.stop()
      await promisify(execFile)('umount', ['-l', mounted])
    })
})
