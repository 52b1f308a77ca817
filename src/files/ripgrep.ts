import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { AppError } from '../errors.ts'

/** The program that searches, where it is there. */
interface Ripgrep {
  /** Its path. Rejects with AppError `unimplemented` where there is none; the next call looks again. */
  path(): Promise<string>
  /** What the last look has found, at once; a call looks anew for the next one. */
  state(): { readonly on: boolean; readonly reason: string }
}

const MISSING = 'searches need ripgrep, which is not installed for this platform'

/** @param places return a path each, or reject; the first that can be run is taken. */
export function createRipgrep(places: readonly (() => Promise<string>)[]): Ripgrep {
  let found: string | undefined
  const look = async (): Promise<string | undefined> => {
    for (const place of places) {
      const path = await place().catch(() => undefined)
      if (path === undefined || !(await isExecutable(path))) continue
      found = path
      return path
    }
    found = undefined
    return undefined
  }
  const first = look()
  return {
    path: async () => {
      const path = found ?? (await first) ?? (await look())
      if (path === undefined) throw new AppError('unimplemented', MISSING)
      return path
    },
    state: () => {
      const on = found !== undefined
      void look()
      return { on, reason: on ? 'files.v1.Files finds files and greps in them' : MISSING }
    },
  }
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** That of the bundle, beside the daemon, else of the installed package. */
export const ripgrep = createRipgrep([
  async () => fileURLToPath(new URL('./bin/rg', import.meta.url)),
  async () => (await import('@vscode/ripgrep')).rgPath,
])
