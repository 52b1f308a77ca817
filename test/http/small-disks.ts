import { execFileSync, spawn } from 'node:child_process'
import { mkdir, readFile, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, type TestContext } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const SIZE = '1m'

/** A filesystem of 1 MiB that every user may write. Disposing unmounts it. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string
  /** Writes a file of zeros, `filler`, so that so many bytes are left. */
  leave(bytes: number): Promise<void>
}

/** tmpfs, which has files without a name (O_TMPFILE), or one by FUSE in front of it, which has none. */
export type DiskKind = 'tmpfs' | 'fuse'

/** Skips the test, with the reason, where there can be none. */
export async function mountSmallDisk(kind: DiskKind, context: TestContext): Promise<SmallDisk> {
  needsNamespace(context)
  const dir = await makeTmpDir()
  const memory = join(dir.path, 'memory')
  await mkdir(memory)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=777`, 'tmpfs', memory])
  const front = kind === 'fuse' ? await mountFront(memory, join(dir.path, 'fuse'), context) : undefined
  const path = front?.path ?? memory
  expect(hasUnnamedFiles(path)).toBe(kind === 'tmpfs')
  return {
    path,
    async leave(bytes) {
      const { bavail, bsize } = await statfs(path)
      await writeFile(join(path, 'filler'), Buffer.alloc(Math.max(0, bavail * bsize - bytes)))
    },
    async [Symbol.asyncDispose]() {
      front?.end()
      execFileSync('umount', ['-l', memory])
      await dir[Symbol.asyncDispose]()
    },
  }
}

async function mountFront(origin: string, path: string, context: TestContext) {
  await mkdir(path)
  const server = spawn('bindfs', ['-f', origin, path], { stdio: 'ignore' })
  let failed: string | undefined
  server.once('error', (error) => (failed = error.message))
  server.once('exit', (code) => (failed = `bindfs ended with ${code}`))
  const mounted = async () => failed !== undefined || (await readFile('/proc/self/mounts', 'utf8')).includes(path)
  await expect.poll(mounted).toBe(true)
  if (failed !== undefined) {
    execFileSync('umount', ['-l', origin])
    context.skip(`no FUSE mount: ${failed}`)
  }
  const end = () => {
    execFileSync('umount', ['-l', path])
    server.kill('SIGKILL')
  }
  return { path, end }
}

function hasUnnamedFiles(path: string): boolean {
  const script = `import os, sys
try: os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR); print('yes')
except OSError: print('no')`
  return execFileSync('python3', ['-c', script, path], { encoding: 'utf8' }).trim() === 'yes'
}
