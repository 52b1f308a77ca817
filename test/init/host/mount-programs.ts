import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TmpDir } from '../../_util/tmp-dir.ts'
import { writeScript } from './scripts.ts'

/**
 * Stand-ins for findmnt, mount and umount, since NFS takes a kernel that has it and a server. They write down how they
 * are called and hand on to the real programs, but that a tmpfs is mounted instead, named after the NFS target. Targets
 * `fail:…` are refused, `hang:…` hang, and `meet:N…` wait until N volumes are being mounted.
 */
export interface MountPrograms {
  /** PATH with the stand-ins first. */
  readonly path: string
  /** From now on findmnt and a forced umount hang, as with a server that is gone. */
  loseServer(): Promise<void>
  /** The calls so far: a program and its arguments each. */
  calls(): Promise<string[][]>
}

/** Writes the programs into a directory. */
export async function makeMountPrograms(directory: TmpDir): Promise<MountPrograms> {
  const [bin, log, meeting] = [
    join(directory.path, 'bin'),
    join(directory.path, 'calls'),
    join(directory.path, 'meeting'),
  ]
  await mkdir(bin)
  await mkdir(meeting)
  const write = (name: string, script: string) =>
    writeScript(bin, name, `#!/bin/sh\nline=$(printf '\\t%s' "$@")\nprintf '%s\\n' "${name}$line" >> ${log}\n${script}`)
  await write('findmnt', `[ -e ${bin}/dead ] && exec sleep 1000\nexec /usr/bin/findmnt "$@"\n`)
  await write('umount', `[ "$1" = --force ] && [ -e ${bin}/dead ] && exec sleep 1000\nexec /usr/bin/umount "$@"\n`)
  const mount = `while [ "$1" != -- ]; do shift; done
case $2 in
  fail:*) echo "mount.nfs: access denied by server while mounting $2" >&2; exit 32 ;;
  hang:*) trap '' TERM; echo "mount.nfs: trying $2"; while :; do sh -c 'sleep 1000; :' "$2 $3"; done ;;
  meet:*)
    number=\${2#meet:}; number=\${number%%/*}
    : > ${meeting}/$$
    until [ "$(ls ${meeting} | wc -l)" -ge "$number" ]; do sleep 0.02; done ;;
esac
exec /usr/bin/mount -t tmpfs "$2" "$3"
`
  await write('mount', mount)
  return {
    path: `${bin}:/usr/bin:/bin`,
    loseServer: () => writeFile(join(bin, 'dead'), ''),
    calls: async () => {
      const text = await readFile(log, 'utf8').catch(() => '')
      return text.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')]))
    },
  }
}
