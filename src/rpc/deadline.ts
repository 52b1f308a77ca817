import { AppError } from '../errors.ts'
import { longTimeout } from '../lib/long-timeout.ts'

/** Longest header value: ten digits, as the protocol has it, or as many characters of a decimal number. */
const MAX_LENGTH = 10

/**
 * Milliseconds in a `Connect-Timeout-Ms` header, undefined for no limit. Zero and less mean no limit (contract D24),
 * and fractions, which old Python clients send, are rounded up. Throws `invalid_argument` for anything else (contract
 * D23).
 */
export function parseTimeout(header: string | undefined): number | undefined {
  if (header === undefined || header === '') return undefined
  if (header.length > MAX_LENGTH)
    throw new AppError(
      'invalid_argument',
      `parse timeout: ${header.slice(0, 20)} has more than ${MAX_LENGTH} characters`,
    )
  if (!/^[+-]?\d+(\.\d*)?$/.test(header))
    throw new AppError('invalid_argument', `parse timeout: "${header}" is no number of milliseconds`)
  const milliseconds = Math.ceil(Number(header))
  return milliseconds > 0 ? milliseconds : undefined
}

/** Aborts `controller` with AppError `deadline_exceeded` at `deadline` (performance.now()). Returns what cancels it. */
export function abortAt(deadline: number | undefined, controller: Pick<AbortController, 'abort'>): () => void {
  if (deadline === undefined) return () => {}
  const expire = () => controller.abort(new AppError('deadline_exceeded', 'context deadline exceeded'))
  return longTimeout(deadline - performance.now(), expire)
}
