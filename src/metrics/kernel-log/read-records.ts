import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { constants as os } from 'node:os'
import { getSystemErrorName } from 'node:util'
import { poll, read } from '../../native/index.ts'

/** Where the records are read, and who gets them. */
export interface RecordSource {
  /** /dev/kmsg, or a pipe with records in the same form. */
  readonly path: string
  /** read(2); another one is for tests. */
  readonly read?: typeof read
  readonly onRecord: (record: string) => void
  /** All that there was has been read. */
  readonly onEnd: () => void
  readonly signal: AbortSignal
}

/** The kernel's own limit for a record (CONSOLE_EXT_LOG_MAX). */
const RECORD_BYTES = 8192

/** Records of one turn of the event loop, some 2 µs each. */
const RECORDS_PER_TURN = 128

/** Between two such turns: a flood of records, or an old log that is long, takes a small part of the time. */
const PAUSE_MS = 5

/**
 * Reads a kernel log from its beginning, without ever waiting in read(2), and goes on with what is added. Rejects with
 * what ended it: the error of open(2) or read(2), or the signal's reason. EPIPE (records were lost) and EINTR end
 * nothing (contract N18).
 */
export async function readRecords(source: RecordSource): Promise<never> {
  source.signal.throwIfAborted()
  const file = await open(source.path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    return await followed(file.fd, source)
  } finally {
    await file.close()
  }
}

async function followed(fd: number, source: RecordSource): Promise<never> {
  const failed = Promise.withResolvers<never>()
  const onAbort = () => failed.reject(source.signal.reason)
  source.signal.addEventListener('abort', onAbort)
  if (source.signal.aborted) onAbort()
  const buffer = Buffer.allocUnsafe(RECORD_BYTES)
  let pause: NodeJS.Timeout | undefined
  const turn = () => {
    const outcome = readTurn(fd, buffer, source)
    if (outcome instanceof Error) return failed.reject(outcome)
    if (outcome === 'waits') return watch.start()
    watch.stop()
    pause = setTimeout(turn, PAUSE_MS).unref()
  }
  const watch = poll(fd, false, turn)
  try {
    // Also of a log without records the end is known.
    turn()
    return await failed.promise
  } finally {
    clearTimeout(pause)
    watch.close()
    source.signal.removeEventListener('abort', onAbort)
  }
}

/** The records of one turn; returns whether the next is to be waited for, or what ended the log. */
function readTurn(fd: number, buffer: Buffer, source: RecordSource): 'waits' | 'more' | Error {
  const { read: readInto = read, onRecord, onEnd } = source
  for (let count = 0; count < RECORDS_PER_TURN; count++) {
    const length = readInto(fd, buffer, 0, RECORD_BYTES)
    if (length > 0) onRecord(buffer.toString('latin1', 0, length))
    else if (length === -os.errno.EAGAIN) {
      onEnd()
      return 'waits'
    } else if (length !== -os.errno.EPIPE && length !== -os.errno.EINTR)
      return Object.assign(new Error('the kernel log ended'), {
        code: length === 0 ? 'EOF' : getSystemErrorName(length),
      })
  }
  return 'more'
}
