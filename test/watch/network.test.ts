import { execFile } from 'node:child_process'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, type TestContext, test } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { watchDirectory } from './watching.ts'

const run = promisify(execFile)

/** Two looks, and what a busy machine adds. */
const SEEN = { timeout: 15_000, interval: 50 }

interface Mount extends AsyncDisposable {
  /** The directory as another host has it: what is done here, the kernel does not report for the mount. */
  readonly remote: string
  readonly mounted: string
}

/** A FUSE file system; skips the test, with the reason, where there can be none. */
async function mountFuse(context: TestContext): Promise<Mount> {
  needsNamespace(context)
  const tmp = await makeTmpDir()
  const [remote, mounted] = [`${tmp.path}/remote`, `${tmp.path}/mounted`]
  await mkdir(`${remote}/sub`, { recursive: true })
  await writeFile(`${remote}/old`, 'old')
  await mkdir(mounted)
  const options = ['-o', 'attr_timeout=0,entry_timeout=0,negative_timeout=0']
  const failed = await run('bindfs', [...options, remote, mounted]).then(
    () => undefined,
    (error: Error) => error.message.trim(),
  )
  if (failed !== undefined) context.skip(`no FUSE mount with bindfs: ${failed}`)
  return {
    remote,
    mounted,
    async [Symbol.asyncDispose]() {
      await run('umount', ['-l', mounted])
      await tmp[Symbol.asyncDispose]()
    },
  }
}

test('C26 a network mount is refused unless it is allowed', async (context) => {
  await using mount = await mountFuse(context)
  for (const path of [mount.mounted, `${mount.mounted}/sub`])
    await expect(watchDirectory(path)).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: `cannot watch path on network filesystem: ${path}`,
    })
})

test('C26 on a network mount what this machine does is reported at once and once, what others do a little later', async (context) => {
  await using mount = await mountFuse(context)
  await using watching = await watchDirectory(mount.mounted, { allowNetworkMounts: true })
  await writeFile(`${mount.mounted}/sub/local`, 'x')
  await mkdir(`${mount.mounted}/made`)
  const reported = await watching.reported()
  expect(reported).toEqual(['CREATE sub/local', 'WRITE sub/local', 'CREATE made'])

  await writeFile(`${mount.remote}/sub/foreign`, 'x')
  await writeFile(`${mount.remote}/old`, 'other')
  await mkdir(`${mount.remote}/far/away`, { recursive: true })
  await writeFile(`${mount.remote}/far/away/f`, 'x')
  const foreign: string[] = []
  const seen = async () => {
    foreign.push(...(await watching.reported()))
    return foreign.toSorted()
  }
  const expected = ['CREATE far', 'CREATE far/away', 'CREATE far/away/f', 'CREATE sub/foreign', 'WRITE old']
  await expect.poll(seen, SEEN).toEqual(expected)

  // What has come from elsewhere is watched as well.
  await writeFile(`${mount.mounted}/far/away/local`, 'x')
  expect(await watching.reported()).toEqual(['CREATE far/away/local', 'WRITE far/away/local'])
  foreign.length = 0
  await rm(`${mount.remote}/far`, { recursive: true })
  await rename(`${mount.remote}/old`, `${mount.remote}/new`)
  const gone = [
    'CREATE new',
    'REMOVE far',
    'REMOVE far/away',
    'REMOVE far/away/f',
    'REMOVE far/away/local',
    'REMOVE old',
  ]
  await expect.poll(seen, SEEN).toEqual(gone)
  // The last round has seen everything: nothing is reported a second time.
  await writeFile(`${mount.remote}/last`, '')
  await expect.poll(seen, SEEN).toEqual(['CREATE last', ...gone].toSorted())
}, 60_000)

test('C26 C31 without recursion a network mount is looked at in its directory only', async (context) => {
  await using mount = await mountFuse(context)
  await using watching = await watchDirectory(mount.mounted, { allowNetworkMounts: true, recursive: false })
  await writeFile(`${mount.remote}/sub/deep`, 'x')
  await writeFile(`${mount.remote}/flat`, 'x')
  const reported: string[] = []
  const seen = async () => {
    reported.push(...(await watching.reported()))
    return reported
  }
  await expect.poll(seen, SEEN).toEqual(['CREATE flat'])
}, 30_000)

test('C33 a directory on a network mount that others remove ends the watching', async (context) => {
  await using mount = await mountFuse(context)
  const path = `${mount.mounted}/sub`
  await using watching = await watchDirectory(path, { allowNetworkMounts: true })
  await rm(`${mount.remote}/sub`, { recursive: true })
  await expect
    .poll(() => watching.buffer.ended, SEEN)
    .toMatchObject({
      kind: 'not_found',
      message: `the watched directory ${path} was removed`,
    })
  expect(await watching.reported()).toEqual(['REMOVE .'])
}, 30_000)
