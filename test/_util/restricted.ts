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
