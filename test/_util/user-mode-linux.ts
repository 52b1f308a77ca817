import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { TestContext } from 'vitest'
import { makeTmpDir } from './tmp-dir.ts'

/** Of Debian's package `user-mode-linux`, which `scripts/test-packages` installs. */
const KERNEL = '/usr/bin/linux.uml'

const MEMORY = '1500M'

/** It has one processor, and takes a minute on a busy machine. */
const LIMIT_MS = 420_000

const RESULT = 'RESULT '

/**
 * Runs a program of Node in a Linux kernel of its own, which is a process of this machine and shows its files
 * (read-only), with all controllers in a cgroup2 at /sys/fs/cgroup, and gives what it reports by `report`. Skips where
 * there is no such kernel.
 * @param program path of a TypeScript file.
 */
export async function inOwnKernel(context: TestContext, program: string): Promise<unknown> {
  try {
    accessSync(KERNEL, constants.X_OK)
  } catch {
    context.skip('needs the package user-mode-linux')
  }
  await using directory = await makeTmpDir()
  const init = join(directory.path, 'init')
  writeFileSync(init, initOf(program), { mode: 0o755 })
  const words = [`mem=${MEMORY}`, 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', `init=${init}`, 'quiet']
  const kernel = spawn(KERNEL, [...words, 'con0=fd:0,fd:1', 'con=null', `uml_dir=${directory.path}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', HOME: '/root', TMPDIR: '/dev/shm' },
    signal: AbortSignal.timeout(LIMIT_MS),
    killSignal: 'SIGKILL',
  })
  let output = ''
  for (const stream of [kernel.stdout, kernel.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  await once(kernel, 'close')
  const line = output.split(/\r?\n/).find((text) => text.startsWith(RESULT))
  if (line === undefined) throw new Error(`the program in the kernel reported nothing:\n${output}`)
  return JSON.parse(line.slice(RESULT.length))
}

/** For the program: says what the test gets. Call it once. */
export function report(result: unknown): void {
  process.stdout.write(`${RESULT}${JSON.stringify(result)}\n`)
}

/** Where the checkout is in the kernel: it may lie below /tmp, which is empty there. */
const CHECKOUT = '/mnt'

function inCheckout(path: string): string {
  const below = relative(process.cwd(), path)
  return below.startsWith('..') ? path : join(CHECKOUT, below)
}

function initOf(program: string): string {
  return `#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
ip link set lo up
mount --bind '${process.cwd()}' ${CHECKOUT}
cd ${CHECKOUT}
mount -t tmpfs tmpfs /tmp
PATH='${process.env['PATH'] ?? ''}' HOME=/root '${inCheckout(process.execPath)}' --disable-warning=ExperimentalWarning '${inCheckout(program)}'
echo o >/proc/sysrq-trigger
sleep 10
`
}
