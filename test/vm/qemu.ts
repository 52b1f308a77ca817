import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestContext } from 'vitest'
import { inNamespace } from '../_util/namespace.ts'
import { connectQmp, type Qmp } from './qmp.ts'

/** Debian's names of the architectures. */
export type Architecture = 'amd64' | 'arm64'

/** A QEMU process. Disposing ends it at once, as when the power fails. */
export interface Qemu extends AsyncDisposable {
  readonly pid: number
  readonly monitor: Qmp
  /** All that the machine wrote to its serial console. */
  console(): Promise<string>
  /** Resolves when the process has ended, with its exit code; null: by a signal. */
  readonly ended: Promise<number | null>
}

const run = promisify(execFile)
const cache = fileURLToPath(new URL('../../.cache/vm', import.meta.url))

/** Why there can be no such machine here; undefined: there can. */
export function skippedReason(arch: Architecture = 'amd64'): string | undefined {
  if (!inNamespace) return 'needs the private namespace of scripts/in-namespace, which needs root'
  const file = join(cache, `${arch}.skipped`)
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  return existsSync('/dev/net/tun') ? undefined : 'no network for a machine: /dev/net/tun is missing'
}

/** Skips the test, with the reason, where `scripts/test-vm` could not make such a machine. */
export function needsVm(context: TestContext, arch: Architecture = 'amd64'): void {
  const reason = skippedReason(arch)
  if (reason !== undefined) context.skip(reason)
}

/** A new disk with the root of `scripts/vm/root`, in a file of `directory`; what is written to it stays there. */
export async function makeDisk(directory: string, arch: Architecture): Promise<string> {
  const disk = join(directory, 'disk.qcow2')
  const root = join(cache, arch, 'root.ext4')
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', root, '-F', 'raw', disk])
  return disk
}

/** How a machine is started. */
export interface QemuOptions {
  readonly arch: Architecture
  readonly memoryMib: number
  readonly disk: string
  /** Name of the tap that its network is connected to. */
  readonly tap: string
  /** Of its monitor and its console. */
  readonly directory: string
  /** A file with the memory of a machine of the same options, which goes on when the monitor says `cont`. */
  readonly memory?: string
  /** What its clock shows, in seconds since 1970; default: the time of this machine. */
  readonly clock?: number
}

/** Starts one, and waits for its monitor. */
export async function startQemu(options: QemuOptions): Promise<Qemu> {
  const { arch, directory } = options
  const consoleFile = join(directory, 'console')
  const socket = join(directory, 'monitor')
  const program = arch === 'amd64' ? 'qemu-system-x86_64' : 'qemu-system-aarch64'
  const child = spawn(program, words(options, consoleFile, socket), { stdio: ['ignore', 'inherit', 'inherit'] })
  const ended = once(child, 'exit').then(([code]): number | null => code)
  const monitor = await connectQmp(socket).catch((error: unknown) => {
    child.kill('SIGKILL')
    throw error
  })
  return {
    pid: child.pid ?? 0,
    monitor,
    console: () => readFile(consoleFile, 'utf8'),
    ended,
    async [Symbol.asyncDispose]() {
      monitor.close()
      child.kill('SIGKILL')
      await ended
    },
  }
}

function words(options: QemuOptions, consoleFile: string, socket: string): string[] {
  const { arch, memoryMib, disk, tap, memory, clock } = options
  const base = clock === undefined ? 'utc' : new Date(clock * 1000).toISOString().slice(0, 19)
  return [
    ...MACHINE[arch](),
    ...['-smp', '1', '-m', String(memoryMib), '-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-kernel', join(cache, arch, 'vmlinuz'), '-initrd', join(cache, arch, 'initrd')],
    ...['-append', `console=${arch === 'amd64' ? 'ttyS0' : 'ttyAMA0'} net.ifnames=0 panic=-1 random.trust_cpu=on`],
    ...['-drive', `file=${disk},if=none,id=disk,format=qcow2`, '-device', 'virtio-blk-pci,drive=disk'],
    ...['-netdev', `tap,id=net,ifname=${tap},script=no,downscript=no`],
    ...['-device', 'virtio-net-pci,netdev=net,romfile=,mac=02:00:00:00:00:15'],
    ...['-serial', `file:${consoleFile}`, '-qmp', `unix:${socket},server=on,wait=off`, '-rtc', `base=${base}`],
    ...(memory === undefined ? [] : ['-S', '-incoming', `exec:cat ${memory}`]),
  ]
}

/** `-M microvm` hangs with an emulated processor. */
const MACHINE = {
  amd64: () => {
    const kvm = readFileSync(join(cache, 'accelerator'), 'utf8').trim() === 'kvm'
    return kvm ? ['-M', 'pc,accel=kvm', '-cpu', 'host'] : ['-M', 'pc', '-accel', 'tcg,thread=multi', '-cpu', 'max']
  },
  arm64: () => ['-M', 'virt', '-accel', 'tcg,thread=multi', '-cpu', 'max,pauth-impdef=on'],
}
