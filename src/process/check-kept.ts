import { AppError } from '../errors.ts'
import type { Offsets, StreamName } from './output-log.ts'

/** Throws `out_of_range` for a position that has left the window, `invalid_argument` for one that was not reached yet. */
export function checkKept(asked: Offsets, oldest: Offsets, produced: Offsets): void {
  const streams = Object.keys(produced) as StreamName[]
  const beyond = streams.find((stream) => asked[stream] > produced[stream])
  if (beyond !== undefined)
    throw new AppError(
      'invalid_argument',
      `${beyond} has ${produced[beyond]} bytes, offset ${asked[beyond]} is beyond them`,
    )
  const lost = streams.find((stream) => asked[stream] < oldest[stream])
  if (lost !== undefined)
    throw new AppError(
      'out_of_range',
      `${lost} is kept from offset ${oldest[lost]} on, offset ${asked[lost]} has left the window`,
    )
}
