import { Failure } from './failure.ts'
import { repeated } from './reopened.ts'
import type { Sandbox } from './sandbox.ts'

/** Byte that leaves a terminal: Ctrl-], as of telnet(1). */
const DETACH = 0x1d

/**
 * Sends what comes on standard input to the standard input of a process that only this client writes to, and then
 * closes it. Each piece has its offset, so that one whose answer was lost is sent again and written once. Resolves
 * when that is done, or the process reads no more. Rejects with Failure.
 */
export async function sendInput(sandbox: Sandbox, pid: number): Promise<void> {
  let offset = 0
  const write = (rest: { readonly data?: string; readonly eof?: boolean }) =>
    repeated(() => sandbox.call('jobs.v1.Jobs/Write', { job: { pid }, offset: String(offset), ...rest }, NO_LIMIT_MS))
  try {
    for await (const chunk of process.stdin) {
      const bytes = Buffer.from(chunk)
      await write({ data: bytes.toString('base64') })
      offset += bytes.length
    }
    await write({ eof: true })
  } catch (error) {
    if (!isOver(error)) throw error
  }
}

/** A program that does not read holds its input up for as long as it likes. */
const NO_LIMIT_MS = 2 ** 31 - 1

/**
 * Hands every key to `send`, in order, until the detach key, which calls `detach`; undefined: it is a key like
 * others. Resolves at the end of standard input, or when the process reads no more. Rejects as `send`.
 */
export async function sendKeys(send: (data: Buffer) => Promise<unknown>, detach?: () => void): Promise<void> {
  try {
    for await (const chunk of process.stdin) {
      const bytes = Buffer.from(chunk)
      const at = detach === undefined ? -1 : bytes.indexOf(DETACH)
      const sent = at < 0 ? bytes : bytes.subarray(0, at)
      if (sent.length > 0) await send(sent)
      if (at >= 0) return detach?.()
    }
  } catch (error) {
    if (!isOver(error)) throw error
  }
}

/** The process has ended, or closed its input: that is its own affair. */
function isOver(error: unknown): boolean {
  return error instanceof Failure && ['not_found', 'failed_precondition'].includes(error.code)
}
