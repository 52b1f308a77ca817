import { execFile } from 'node:child_process'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, type TestContext, test } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { watchDirectory } from './watching.ts'

const sh = (command: string, cwd: string) => promisify(execFile)('/bin/sh', ['-ec', command], { cwd })

interface Layers extends AsyncDisposable {
  /** A directory of the lower layer. */
  readonly app: string
  /** Where both layers are seen. */
  readonly merged: string
}

/** As a container has its files: what an image brings lies below, what is changed is copied up. Disposing unmounts. */
async function mountLayers(dir: string, context: TestContext): Promise<Layers> {
  needsNamespace(context)
  // The upper layer cannot lie on an overlay itself, as the checkout of the tests may.
  await sh(`mount -t tmpfs layers ${dir}`, '/')
  await sh('mkdir -p lower/app/src/deep upper work merged; touch lower/app/src/deep/f', dir)
  const options = `lowerdir=${dir}/lower,upperdir=${dir}/upper,workdir=${dir}/work`
  const mounting = promisify(execFile)('mount', ['-t', 'overlay', 'overlay', '-o', options, `${dir}/merged`])
  const failed = await mounting.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (failed !== undefined) context.skip('no overlay can be mounted here')
  return {
    app: `${dir}/merged/app`,
    merged: `${dir}/merged`,
    [Symbol.asyncDispose]: async () => {
      await sh(`umount -l ${dir}/merged ${dir}`, '/')
    },
  }
}

test('C31 C33 a directory of an image stays watched when something is made in it for the first time', async (context) => {
  await using tmp = await makeTmpDir()
  await using layers = await mountLayers(tmp.path, context)
  const { app } = layers
  await using watching = await watchDirectory(app)
  await mkdir(`${app}/new/deep`, { recursive: true })
  await writeFile(`${app}/new/deep/f`, '')
  expect(await watching.reported()).toEqual(['CREATE new', 'CREATE new/deep', 'CREATE new/deep/f'])
  await mkdir(`${app}/src/deep/new`)
  await writeFile(`${app}/src/deep/new/f`, '')
  expect(await watching.reported()).toEqual(['CREATE src/deep/new', 'CREATE src/deep/new/f'])
  expect(watching.buffer.ended).toBeUndefined()
})

test('C29 C31 a directory that is moved into one of an image is reported with all that is in it', async (context) => {
  await using tmp = await makeTmpDir()
  await using layers = await mountLayers(tmp.path, context)
  const { app, merged } = layers
  const outside = `${merged}/outside`
  await mkdir(`${outside}/a`, { recursive: true })
  await writeFile(`${outside}/a/b`, '')
  await using watching = await watchDirectory(app)
  await rename(`${outside}/a`, `${app}/a`)
  expect(await watching.reported()).toEqual(['CREATE a', 'CREATE a/b'])
  expect(watching.buffer.ended).toBeUndefined()
})
