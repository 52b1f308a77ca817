import type { Stored } from '../../filesystem/upload.ts'
import { createTimeSlice } from '../../lib/time-slice.ts'

/** Characters that are made into bytes at once. */
const PIECE_LENGTH = 64 * 1024

/** The answer to an upload (contract B37), as JSON: thousands of long paths do not hold the event loop. */
export async function storedList(stored: readonly Stored[]): Promise<Buffer> {
  const slice = createTimeSlice()
  const pieces: Buffer[] = []
  let text = '['
  for (const [index, { file }] of stored.entries()) {
    text += `${index === 0 ? '' : ','}${JSON.stringify(file)}`
    if (text.length < PIECE_LENGTH) continue
    pieces.push(Buffer.from(text))
    text = ''
    const wait = slice.next()
    if (wait !== undefined) await wait
  }
  return Buffer.concat([...pieces, Buffer.from(`${text}]`)])
}
