import { noFileLimit } from '../native/index.ts'
import type { LaunchDeps, LaunchRequest } from './launch.ts'
import { stdioFailure } from './start-failure.ts'
import { type Owner, openPipes, openTerminalStdio, type Stdio } from './stdio.ts'

/**
 * Descriptors that commands leave free. The next daemon takes theirs over, and could not start with them otherwise: it
 * opens some of its own before it listens.
 */
const SPARE_DESCRIPTORS = 32

/**
 * Opens the pipes or the terminal of a command. Throws as `stdioFailure`, also where only the descriptors are left that
 * commands leave free.
 */
export function openStdio(request: LaunchRequest, owner: Owner, { devNull }: LaunchDeps): Stdio {
  const { terminal, stdin, outlives = false } = request
  try {
    const stdio =
      terminal === undefined ? openPipes(owner, { stdin, outlives, devNull }) : openTerminalStdio(owner, terminal)
    if (stdio.sources.every(({ fd }) => fd < noFileLimit()[0] - SPARE_DESCRIPTORS)) return stdio
    stdio.closeAll()
  } catch (error) {
    throw stdioFailure(request, error)
  }
  throw stdioFailure(request, Object.assign(new Error('few descriptors are left'), { code: 'EMFILE' }))
}
