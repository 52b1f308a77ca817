import { join } from 'node:path'
import { errnoOf } from '../../errors.ts'
import { replaceFile } from '../../lib/replace-file.ts'
import type { Log } from '../../log.ts'
import type { EnvVars } from '../../users/defaults.ts'
import type { MmdsOptions } from './options.ts'

/** Which sandbox this is, as commands and programs in it read. */
interface Identity {
  /**
   * Makes the options those of the sandbox: internal variables at once (contract A14, A15), log target at once where
   * there is one (contract G12), then the files (contract A12). Resolves when the files are written; a failure is
   * logged. Calls take effect in their order.
   */
  adopt(options: MmdsOptions): Promise<void>
}

/** What an identity is set in. */
interface IdentityOptions {
  readonly env: EnvVars
  /** Directory of the files; it exists. */
  readonly runDir: string
  /** Takes the options when they name a log collector. */
  readonly onOptions: (options: MmdsOptions) => void
  readonly log: Log
}

/** Makes the identity of a sandbox that was not named yet. */
export function createIdentity({ env, runDir, onOptions, log }: IdentityOptions): Identity {
  const written = new Map<string, string>()
  const write = async (name: string, value: string) => {
    if (written.get(name) === value) return
    try {
      await replaceFile(join(runDir, name), value, { mode: 0o644 })
      written.set(name, value)
    } catch (error) {
      log.error({ file: name, errno: errnoOf(error) }, 'a file of the sandbox could not be written')
    }
  }
  let writing = Promise.resolve()
  return {
    adopt: (options) => {
      const { instanceID, envID, address } = options
      env.setInternal('E2B_SANDBOX_ID', instanceID)
      env.setInternal('E2B_TEMPLATE_ID', envID)
      if (address !== '') onOptions(options)
      writing = writing.then(() => write('.E2B_SANDBOX_ID', instanceID)).then(() => write('.E2B_TEMPLATE_ID', envID))
      return writing
    },
  }
}
