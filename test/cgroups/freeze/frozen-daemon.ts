import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, readdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, type TestContext } from 'vitest'
import { daemonPid } from '../../_util/daemon-process.ts'
import { type LoopDisk, makeLoopDisk, needsLoopDisks } from '../../_util/loop-disk.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

/** A daemon whose root filesystem may be frozen without harm. Disposing thaws it and stops the daemon. */
export interface FrozenDaemon extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  /**
   * Its root directory as the test sees it: an ext4 filesystem that holds everything that it works with, its log
   * included.
   */
  readonly root: string
  /** What it logged so far. */
  log(): Promise<string>
  /** By fsfreeze(8), outside of the daemon. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Whether a write to its root gets through within a second; one that does not goes on waiting for the thaw. */
  takesWrites(): Promise<boolean>
  /** SIGTERM, then waits for the end; gives the exit code. */
  stop(): Promise<number>
}

const project = fileURLToPath(new URL('../../..', import.meta.url))
/** Programs and libraries, and what the kernel shows; everything else is on the disk. */
const BOUND = ['/usr', '/proc', '/sys', '/dev']
const MERGED = ['bin', 'sbin', 'lib', 'lib64']

/**
 * Installs the built daemon on a filesystem of its own and starts it there, in chroot(2). Skips the test where that
 * cannot be.
 */
export async function startFrozenDaemon(context: TestContext): Promise<FrozenDaemon> {
  await needsLoopDisks(context)
  await using undo = new AsyncDisposableStack()
  const directory = undo.use(await makeTmpDir())
  const disk = undo.use(await makeLoopDisk(directory.path, context))
  await installOnDisk(disk)
  const args = ['-port', '0', '-address', '127.0.0.1', '-kill-on-exit', '-isnotfc', '-verbose']
  const command = ['-c', 'exec chroot "$0" "$@" >"$0/envd.log" 2>&1', disk.path, join(project, 'scripts/envd'), ...args]
  const child = spawn('sh', command, { env: { PATH: process.env['PATH'] ?? '', HOME: '/root' }, stdio: 'ignore' })
  const ended = once(child, 'close')
  const stop = async () => {
    child.kill('SIGTERM')
    const [code] = await ended
    return code
  }
  undo.defer(async () => {
    await disk.thaw()
    expect(await stop()).toBe(0)
  })
  const log = () => readFile(join(disk.path, 'envd.log'), 'utf8').catch(() => '')
  let url = ''
  await expect
    .poll(async () => (url = /listening on (http:\S+)/.exec(await log())?.[1] ?? ''), { timeout: 20_000 })
    .not.toBe('')
  const owned = undo.move()
  return {
    url,
    pid: daemonPid(child.pid ?? 0),
    root: disk.path,
    log,
    freeze: disk.freeze,
    thaw: disk.thaw,
    takesWrites: () => takesWrites(join(disk.path, 'probe')),
    stop,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/**
 * Makes a disk the root of a daemon that runs in chroot(2): with what it needs of the machine, and the built daemon
 * where it is here.
 */
export async function installOnDisk(disk: LoopDisk): Promise<void> {
  const root = disk.path
  for (const name of MERGED) await symlink(`usr/${name}`, join(root, name))
  for (const name of ['tmp', 'root', 'etc', 'run']) await mkdir(join(root, name))
  await chmod(join(root, 'tmp'), 0o1777)
  for (const name of ['passwd', 'group']) await cp(`/etc/${name}`, join(root, 'etc', name))
  const target = join(root, project)
  const packages = await readdir(join(project, 'node_modules'))
  const runtime = packages.filter((name) => name.startsWith('node-linux-')).map((name) => `node_modules/${name}/bin`)
  for (const part of ['dist', 'scripts/envd', 'scripts/launch-options', ...runtime]) {
    await cp(join(project, part), join(target, part), { recursive: true, filter: isNoBundle })
  }
  for (const from of BOUND) await disk.bind(from)
}

/** What `npm run bundle` has made beside the daemon would fill the disk. */
function isNoBundle(path: string): boolean {
  return !/\/dist\/envd-linux-/.test(path)
}

/**
 * Whether a write to a file gets through within a second. By a process of its own: it would hold a thread of the test.
 */
export async function takesWrites(file: string): Promise<boolean> {
  const child = spawn('sh', ['-c', 'echo x >>"$0"', file], { stdio: 'ignore' })
  const [code] = await Promise.race([
    once(child, 'close'),
    new Promise<[undefined]>((resolve) => setTimeout(() => resolve([undefined]), 1000).unref()),
  ])
  return code === 0
}
