import type { Connection } from '../connection.ts'
import { canGoOn, checkReadable, MAX_FAILURES, pause } from './attempts.ts'
import { failureOf, failureOfText } from './failure.ts'
import type { SendOptions, Sent } from './upload-queue.ts'

/** How a small file reaches the daemon. */
export interface WholeTarget {
  /** Posts it, in one request. */
  post(file: File, signal: AbortSignal): Promise<Response>
  /** What is at its path. */
  read(signal: AbortSignal): Promise<Uint8Array>
  /** Something that is there is not replaced. */
  readonly creates: boolean
  readonly connection: Connection
}

/**
 * Sends a file in one request, again if the answer was lost. Resolves with `exists` if there is another file and the
 * target only creates. Rejects with FileFailure, or with the signal's reason; nothing has come then.
 */
export async function sendWhole(file: File, target: WholeTarget, { signal, onWaiting }: SendOptions): Promise<Sent> {
  let answerLost = false
  let failures = 0
  for (;;) {
    const response = await target.post(file, signal).catch(() => undefined)
    signal.throwIfAborted()
    if (response?.ok === true) {
      void response.body?.cancel()
      return 'done'
    }
    const status = response?.status ?? 0
    if (status === 409 && target.creates)
      // It may have come the first time.
      return answerLost && (await isSame(file, await target.read(signal))) ? 'done' : 'exists'
    if (status === 0) await checkReadable(file)
    if (!canGoOn(status) || ++failures > MAX_FAILURES)
      throw response === undefined ? failureOfText(0, '') : await failureOf(response)
    answerLost ||= status === 0
    onWaiting(true)
    if ((await pause(target.connection, { failures, signal })) === 'lost') failures = 0
  }
}

async function isSame(file: File, other: Uint8Array): Promise<boolean> {
  const own = new Uint8Array(await file.arrayBuffer())
  return own.length === other.length && own.every((byte, index) => byte === other[index])
}
