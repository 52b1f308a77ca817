import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { AppError } from '../errors.ts'

/** Where the bundle has it, beside the daemon. */
const IN_BUNDLE = fileURLToPath(new URL('./bin/rg', import.meta.url))

let found: Promise<string> | undefined

/**
 * The path of `rg`: that of the bundle, else of the installed package. Rejects with AppError `unimplemented` where
 * there is none.
 */
export function ripgrep(): Promise<string> {
  found ??= find()
  found.catch(() => {
    found = undefined
  })
  return found
}

async function find(): Promise<string> {
  try {
    await access(IN_BUNDLE, constants.X_OK)
    return IN_BUNDLE
  } catch {}
  try {
    const { rgPath } = await import('@vscode/ripgrep')
    await access(rgPath, constants.X_OK)
    return rgPath
  } catch (error) {
    throw new AppError('unimplemented', 'searches need ripgrep, which is not installed for this platform', {
      cause: error,
    })
  }
}
