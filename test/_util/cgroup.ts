import { mkdtempSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * A cgroup of the namespace's cgroup2, to be a daemon's `-cgroup-root` that no other test sees. Disposing ends what is
 * in it.
 */
export interface CgroupRoot extends AsyncDisposable {
  readonly path: string
  /** The cgroups in it, by their path below it, parents first. */
  groups(): string[]
  /** A file of one of its cgroups, without white space at the end. */
  read(file: string): string
  write(file: string, text: string): void
}

/** Killed processes leave their cgroup only when the kernel has taken them apart. */
const EMPTY_LIMIT_MS = 10_000

/** Call `needsCgroups` first. The test runner itself is not in it. */
export function makeCgroupRoot(): CgroupRoot {
  const path = mkdtempSync('/sys/fs/cgroup/root-')
  const groups = () =>
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${entry.parentPath}/${entry.name}`.slice(path.length + 1))
      .sort()
  return {
    path,
    groups,
    read: (file) => readFileSync(`${path}/${file}`, 'latin1').trimEnd(),
    write: (file, text) => writeFileSync(`${path}/${file}`, text),
    async [Symbol.asyncDispose]() {
      writeFileSync(`${path}/cgroup.kill`, '1')
      const limit = performance.now() + EMPTY_LIMIT_MS
      while (!readFileSync(`${path}/cgroup.events`, 'latin1').includes('populated 0')) {
        if (performance.now() > limit) throw new Error(`processes stay in ${path}`)
        await delay(5)
      }
      for (const group of groups().reverse()) rmdirSync(`${path}/${group}`)
      rmdirSync(path)
    },
  }
}
