import { fileURLToPath } from 'node:url'
import type { DaemonOptions } from './daemon.ts'

const program = fileURLToPath(new URL('./restricted.py', import.meta.url))
const envd = fileURLToPath(new URL('../../scripts/envd', import.meta.url))

/**
 * What starts a daemon in a sandbox that takes rights away, as the words of `restricted.py`: `cap=setgid`,
 * `refuse=statx:EPERM`.
 */
export function restricted(...restrictions: readonly string[]): Required<Pick<DaemonOptions, 'launch'>> {
  return { launch: ['python3', program, ...restrictions, '--', envd] }
}

/** What is left of a daemon's work for other users. */
type Others = 'all' | 'no files' | 'nothing'

const filters = [
  'clone3:ENOSYS',
  ...['openat2', 'pidfd_open', 'io_uring_setup', 'statx', 'pidfd_send_signal', 'close_range'].flatMap((name) => [
    `${name}:EPERM`,
    `${name}:ENOSYS`,
  ]),
]

/** What a sandbox takes away, what is left for other users, and the words of `restricted.py` for it. */
export const RESTRICTIONS: readonly (readonly [string, Others, readonly string[]])[] = [
  ['CAP_SETUID', 'nothing', ['cap=setuid']],
  ['CAP_SETGID', 'nothing', ['cap=setgid']],
  ['setgroups', 'nothing', ['refuse=setgroups:EPERM']],
  ['setgroups, unknown to a filter', 'nothing', ['refuse=setgroups:ENOSYS']],
  ['CAP_CHOWN', 'no files', ['cap=chown']],
  ['CAP_SYS_PTRACE', 'all', ['cap=sys_ptrace']],
  ['CAP_SYS_ADMIN', 'all', ['cap=sys_admin']],
  ['CAP_NET_ADMIN', 'all', ['cap=net_admin']],
  ['CAP_SYS_NICE and CAP_SYS_RESOURCE', 'all', ['cap=sys_nice', 'cap=sys_resource']],
  ['CAP_DAC_OVERRIDE', 'all', ['cap=dac_override']],
  ['any capability', 'nothing', ['cap=all']],
  ['any capability and new privileges', 'nothing', ['cap=all', 'no-new-privs']],
  ['new privileges', 'all', ['no-new-privs']],
  ...filters.map((filter) => [`${filter} of a filter`, 'all', [`refuse=${filter}`]] as const),
]
