import { existsSync } from 'node:fs'
import { AppError } from '../errors.ts'

/**
 * To be called before work that reaches open files and directories through `/proc/self/fd`. Throws AppError
 * unimplemented where proc(5) is not mounted, as in a bare chroot: else what is asked for would seem to be
 * missing. It never waits: proc(5) is memory.
 */
export function needProc(): void {
  if (!existsSync('/proc/self/fd')) throw new AppError('unimplemented', 'this takes /proc, which is not mounted')
}
