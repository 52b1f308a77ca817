import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { vi } from 'vitest'
import { makeCgroupRoot } from '../_util/cgroup.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../.cache/image/systemd', import.meta.url))
const START_LIMIT_MS = 60_000

/** Debian with systemd as process 1, in the network of the tests. Disposing ends it with all that runs in it. */
export interface Machine extends AsyncDisposable {
  /** Runs a program of the machine; gives its standard output without white space at the end. Rejects if it fails. */
  run(file: string, ...args: string[]): Promise<string>
  /** Where a path of the machine is outside. */
  at(path: string): string
}

/** What becomes process 1 makes the machine's own mounts first. */
const BOOT = `
set -e
mount --make-rprivate /
mount -t proc proc "$1/proc"
mount -t sysfs -o ro sysfs "$1/sys"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
mount --rbind /dev "$1/dev"
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" \\
  /lib/systemd/systemd --show-status=0 --log-level=warning`

/** Boots it, at most one at a time, and waits until systemd takes orders. Call `needsCgroups` and `needsMade` first. */
export async function bootMachine(): Promise<Machine> {
  const group = makeCgroupRoot()
  const namespaces = ['--pid', '--fork', '--mount', '--cgroup', '--ipc', '--uts', '--kill-child']
  const enter = 'echo $$ >"$1/cgroup.procs"; shift; exec unshare "$@"'
  const words = ['-c', enter, 'sh', group.path, ...namespaces, 'sh', '-c', BOOT, 'sh', root]
  const child = spawn('sh', words, { stdio: ['ignore', 'inherit', 'inherit'] })
  const ended = once(child, 'exit')
  const process1 = async () => (await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).trim()
  const inside = async (...command: string[]) => {
    const pid = await process1()
    const { stdout } = await run('nsenter', ['-t', pid, '--all', `--root=/proc/${pid}/root`, '--wd=/', ...command], {
      cwd: '/',
    })
    return stdout.trimEnd()
  }
  const machine: Machine = {
    run: inside,
    at: (path) => join(root, path),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
      await group[Symbol.asyncDispose]()
    },
  }
  await vi.waitFor(() => inside('systemctl', 'show', '--property', 'Version'), {
    timeout: START_LIMIT_MS,
    interval: 200,
  })
  return machine
}
