import { constants, open } from 'node:fs/promises'
import { createTimeSlice, type TimeSlice } from '../lib/time-slice.ts'

/**
 * Bytes of such a file that are read; the users of a machine take a few kilobytes. What is longer was made to be, as
 * the daemon keeps what it has read.
 */
export const MAX_USER_FILE_BYTES = 1024 * 1024

/** Bytes that are read at a time. */
const PIECE_BYTES = 16 * 1024

/** Lines, and members of a group, between two looks at the clock: below a millisecond. */
const STEP = 500

/**
 * The lines of a file like passwd(5), up to the last one that ends within the first mebibyte. Whatever the file is, it
 * is read no further and not waited for. Rejects with the system error.
 */
export async function readUserFile(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  try {
    const pieces: Buffer[] = []
    let length = 0
    while (length <= MAX_USER_FILE_BYTES) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PIECE_BYTES), 0, PIECE_BYTES)
      if (bytesRead === 0) break
      length += bytesRead
      pieces.push(buffer.subarray(0, bytesRead))
    }
    const bytes = Buffer.concat(pieces)
    if (length <= MAX_USER_FILE_BYTES) return bytes.toString()
    return bytes.toString('utf8', 0, bytes.lastIndexOf(10, MAX_USER_FILE_BYTES - 1) + 1)
  } finally {
    await file.close()
  }
}

/** Calls `onEntry` with the first six fields of each line that is no comment, some milliseconds at a time. */
export async function eachEntry(text: string, onEntry: (fields: readonly string[]) => void): Promise<void> {
  const onLine = (line: string) => {
    if (line !== '' && !/^[#+-]/.test(line)) onEntry(line.split(':', 6))
    return true
  }
  await eachPart(text, { separator: '\n', onPart: onLine, slice: createTimeSlice() })
}

/** Whether a name is one of the members of a group, as group(5) lists them. */
export async function listsMember(members: string, name: string, slice: TimeSlice): Promise<boolean> {
  return !(await eachPart(members, { separator: ',', onPart: (member) => member.trim() !== name, slice }))
}

interface Parting {
  readonly separator: string
  readonly onPart: (part: string) => boolean
  readonly slice: TimeSlice
}

/** Calls `onPart` for each part of a text, some milliseconds at a time, until it is false; false then. */
async function eachPart(text: string, { separator, onPart, slice }: Parting): Promise<boolean> {
  for (let at = 0, count = 1; at <= text.length; count++) {
    const found = text.indexOf(separator, at)
    const end = found < 0 ? text.length : found
    if (!onPart(text.slice(at, end))) return false
    at = end + 1
    if (count % STEP === 0) await slice.next()
  }
  return true
}
