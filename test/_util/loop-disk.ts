import { execFile } from 'node:child_process'
import { mkdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestContext } from 'vitest'
import { needsNamespace } from './namespace.ts'

/** An ext4 filesystem of its own, the only kind here that can be frozen. Disposing thaws and unmounts it. */
export interface LoopDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string
  /** fsfreeze(8); resolves also if it is frozen already. */
  freeze(): Promise<void>
  /** Resolves also if it is not frozen. */
  thaw(): Promise<void>
  /** Mounts a directory of the machine at the same place below `path`. Undone by disposing. */
  bind(directory: string): Promise<void>
}

const run = promisify(execFile)

/** The numbers of the kernel's devices (admin-guide/devices.txt), which do not exist in the /dev of the namespace. */
const CONTROL = ['c', '10', '237']
const LOOP_MAJOR = '7'
/** As many as the kernel makes at start. */
const LOOP_DEVICES = 8

/** Of filesystems; only ext4 can be frozen here. */
type DiskKind = 'ext4' | 'xfs' | 'btrfs'

/** Skips the test, with the reason, where no loop device can be had. */
export async function needsLoopDisks(context: TestContext, kind: DiskKind = 'ext4'): Promise<void> {
  needsNamespace(context)
  for (const tool of [`mkfs.${kind}`, 'losetup', 'fsfreeze']) {
    if ((await run('which', [tool]).catch(() => true)) === true) context.skip(`needs ${tool}`)
  }
  const reason = await makeDevices().catch((error: unknown) => error)
  if (reason !== undefined) context.skip('needs loop devices, which this machine does not have')
}

async function makeDevices(): Promise<void> {
  const node = async (path: string, kind: string[]) => {
    if ((await stat(path).catch(() => undefined)) === undefined) await run('mknod', [path, ...kind])
  }
  await node('/dev/loop-control', CONTROL)
  for (let i = 0; i < LOOP_DEVICES; i++) await node(`/dev/loop${i}`, ['b', LOOP_MAJOR, String(i)])
  await run('losetup', ['--find'])
}

/**
 * Makes and mounts a filesystem in `directory`, in memory unless that is on a disk. It is thawed at the end of the
 * test, also of one that runs out of time. A test runner that is killed while one is frozen leaves processes that
 * cannot end; `fsfreeze -u /proc/PID/task/TID/root/` with a thread of theirs frees them.
 */
export async function makeLoopDisk(
  directory: string,
  context: TestContext,
  kind: DiskKind = 'ext4',
): Promise<LoopDisk> {
  const image = join(directory, 'disk.img')
  const path = join(directory, 'disk')
  await writeFile(image, '')
  await truncate(image, 512 * 1024 * 1024)
  await mkdir(path)
  await run(`mkfs.${kind}`, ['-q', kind === 'ext4' ? '-F' : '-f', image])
  await run('mount', ['-o', 'loop', image, path])
  const bound: string[] = []
  const thaw = () => run('fsfreeze', ['-u', path]).then(noop, noop)
  context.onTestFinished(thaw)
  return {
    path,
    freeze: () => run('fsfreeze', ['-f', path]).then(noop, noop),
    thaw,
    bind: async (from) => {
      const target = join(path, from)
      await mkdir(target, { recursive: true })
      await run('mount', ['--rbind', from, target])
      bound.push(target)
    },
    async [Symbol.asyncDispose]() {
      await thaw()
      for (const target of bound.reverse()) await run('umount', ['-l', target])
      await run('umount', ['-l', path])
    },
  }
}

function noop(): void {}
