import { AppError } from '../errors.ts'
import type { Offsets, StreamName } from './output-log.ts'

/**
 * Throws `invalid_argument` for a position that was not reached yet, `out_of_range` for one that has left the window
 * (contract N22).
 */
export function checkKept(asked: Offsets, oldest: Offsets, produced: Offsets): void {
  const streams = Object.keys(produced) as StreamName[]
  const beyond = streams.find((stream) => asked[stream] > produced[stream])
  if (beyond !== undefined) {
    // A larger one is not known to the last digit.
    const offset = asked[beyond] > Number.MAX_SAFE_INTEGER ? 'the offset' : `offset ${asked[beyond]}`
    throw new AppError('invalid_argument', `${beyond} has ${produced[beyond]} bytes, ${offset} is beyond them`)
  }
  const lost = streams.find((stream) => asked[stream] < oldest[stream])
  if (lost !== undefined)
    throw new AppError(
      'out_of_range',
      `${lost} is kept from offset ${oldest[lost]} on, offset ${asked[lost]} has left the window`,
    )
}
