import { constants } from 'node:fs'
import { access } from 'node:fs/promises'

/** Shells in the order of preference; bash is what the platform runs templates' commands with (contract K11). */
export const SHELLS: readonly string[] = ['/bin/bash', '/bin/sh']

/** The first of the shells that can be run; the last if none can, so that its failure is reported. */
export async function findShell(shells: readonly string[]): Promise<string> {
  for (const shell of shells) if (await isExecutable(shell)) return shell
  return shells.at(-1) ?? '/bin/sh'
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
