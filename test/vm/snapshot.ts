import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { vi } from 'vitest'
import type { Sandbox } from '../orchestrator/orchestrator.ts'
import { type Machine, type Surroundings, surround } from './machine.ts'
import { type Qemu, type QemuOptions, startQemu } from './qemu.ts'

/** The memory and the disk of a machine at one moment, in files. */
export interface Snapshot {
  readonly memory: string
  readonly options: Omit<QemuOptions, 'directory' | 'memory'>
}

const LIMIT = { timeout: 120_000, interval: 50 }

/** Stops a machine between two instructions, writes what it has into `directory`, and ends its process. */
export async function takeSnapshot(qemu: Qemu, options: QemuOptions): Promise<Snapshot> {
  const memory = join(options.directory, 'memory')
  await qemu.monitor.command('stop')
  await qemu.monitor.command('migrate', { uri: `exec:cat > ${memory}` })
  await vi.waitFor(async () => {
    // What the protocol says of the command.
    const { status } = (await qemu.monitor.command('query-migrate')) as { status: string }
    if (status !== 'completed') throw new Error(`the memory is not written: ${status}`)
  }, LIMIT)
  await qemu[Symbol.asyncDispose]()
  const { directory: _, memory: __, ...rest } = options
  return { memory, options: rest }
}

/**
 * Starts a machine that goes on where the snapshot was taken, on a copy of the disk, as often as wanted, one at a time.
 * @param directory an existing one, where a new one is made
 * @param sandbox what the platform says from now on that the machine is
 */
export async function resume(
  snapshot: Snapshot,
  around: Surroundings,
  directory: string,
  sandbox?: Sandbox,
): Promise<Machine> {
  await mkdir(directory)
  const disk = join(directory, 'disk.qcow2')
  await copyFile(snapshot.options.disk, disk)
  const qemu = await startQemu({ ...snapshot.options, disk, directory, memory: snapshot.memory })
  try {
    await vi.waitFor(async () => {
      // What the protocol says of the command.
      const { status } = (await qemu.monitor.command('query-status')) as { status: string }
      if (status === 'inmigrate') throw new Error('the memory is not read')
    }, LIMIT)
    const machine = surround(qemu, around, sandbox)
    await qemu.monitor.command('cont')
    return { ...machine, [Symbol.asyncDispose]: () => qemu[Symbol.asyncDispose]() }
  } catch (error) {
    await qemu[Symbol.asyncDispose]()
    throw error
  }
}
