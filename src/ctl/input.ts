import { Failure } from './failure.ts'
import type { Sandbox } from './sandbox.ts'

/** The process that gets the input, and by which way. */
interface Target {
  readonly pid: number
  readonly kind: 'stdin' | 'pty'
}

/** Bytes that leave a terminal session: Ctrl-], as of telnet(1). */
const DETACH = 0x1d

/**
 * Sends what comes on standard input, in order, until its end, which closes the process's too. Resolves when that is
 * done, or nobody reads it any more. Rejects with Failure.
 * @param detach is called for the key `DETACH`, which ends the input; undefined: it is a key like others.
 */
export async function sendInput(sandbox: Sandbox, { pid, kind }: Target, detach?: () => void): Promise<void> {
  const process_ = { pid }
  try {
    for await (const chunk of process.stdin) {
      const bytes = Buffer.from(chunk)
      const at = detach === undefined ? -1 : bytes.indexOf(DETACH)
      const sent = at < 0 ? bytes : bytes.subarray(0, at)
      if (sent.length > 0)
        await sandbox.call('process.Process/SendInput', {
          process: process_,
          input: { [kind]: sent.toString('base64') },
        })
      if (at >= 0) return detach?.()
    }
    if (kind === 'stdin') await sandbox.call('process.Process/CloseStdin', { process: process_ })
  } catch (error) {
    // It has ended, or closed its input: that is its own affair.
    if (!(error instanceof Failure) || !['not_found', 'failed_precondition'].includes(error.code)) throw error
  }
}
