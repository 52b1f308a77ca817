import type { Socket } from 'node:net'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { WakeUp } from '../lib/wake-up.ts'
import type { ExitStatus } from '../native/index.ts'
import { MAX_SEARCHES, MAX_STUCK_SEARCHES } from './limits.ts'
import type { RecordSplitter, SearchRecord } from './records.ts'
import type { SearchProcesses, SearchProgram } from './search-process.ts'

interface SearchOptions {
  readonly program: SearchProgram
  readonly splitter: RecordSplitter
  readonly processes: SearchProcesses
  /** Milliseconds between keepalives. */
  readonly keepalive: number
  readonly signal: AbortSignal
  /** Counts its memory. The caller releases it. */
  readonly hold: Hold
  /** Called at the end if some files or directories could not be read. */
  readonly onUnreadable: () => void
}

/** Output that was read and not yet taken; beyond it the program waits. */
const MAX_QUEUED_BYTES = 256 * 1024
/** What waits, a chunk, and the records of one. */
const SEARCH_BYTES = 4 * MAX_QUEUED_BYTES
/** Records that are looked at in one turn of the event loop: a millisecond or two. A chunk may have thousands. */
const RECORDS_AT_ONCE = 128
/** Bytes of its errors that are kept: the first one says what is wrong. */
const MAX_ERROR_BYTES = 4096

let running = 0

/**
 * The records that a program writes, some at a time; undefined: nothing has come for a while. The program
 * is killed with the iteration. Rejects with the signal's reason or AppError: budget_spent while 8 others run,
 * invalid_argument for what the program does not understand, resource_exhausted if it was killed, unavailable
 * while too many that were killed do not end.
 */
export async function* searchRecords(options: SearchOptions): AsyncGenerator<SearchRecord[] | undefined, void> {
  const { program, splitter, processes, keepalive, signal, hold, onUnreadable } = options
  signal.throwIfAborted()
  if (running >= MAX_SEARCHES) throw new AppError('budget_spent', `${MAX_SEARCHES} searches run already; try again`)
  if (processes.pids().length >= MAX_SEARCHES + MAX_STUCK_SEARCHES)
    throw new AppError('unavailable', 'earlier searches wait for filesystems that do not answer; try again')
  running++
  try {
    hold.grow(SEARCH_BYTES)
    const search = await processes.start(program)
    try {
      const queue = queueOf(search.output)
      const complaint = firstBytes(search.errors)
      const slice = createTimeSlice()
      for (;;) {
        const chunk = queue.take()
        if (chunk !== undefined) {
          const records = [...splitter.push(chunk)]
          for (let at = 0; at < records.length; at += RECORDS_AT_ONCE) {
            yield records.slice(at, at + RECORDS_AT_ONCE)
            await slice.next()
          }
        } else if (queue.ended) break
        else if (!(await queue.changed.wait(keepalive, signal))) yield undefined
        signal.throwIfAborted()
      }
      if (checkEnd(await search.ended, await complaint)) onUnreadable()
    } finally {
      search.kill()
    }
  } finally {
    running--
  }
}

function queueOf(output: Socket) {
  const chunks: Buffer[] = []
  const changed = new WakeUp()
  const queue = {
    changed,
    ended: false,
    take: () => {
      const chunk = chunks.shift()
      if (chunk !== undefined) bytes -= chunk.length
      if (bytes <= MAX_QUEUED_BYTES / 2 && output.isPaused()) output.resume()
      return chunk
    },
  }
  let bytes = 0
  output.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > MAX_QUEUED_BYTES) output.pause()
    changed.wake()
  })
  output.on('close', () => {
    queue.ended = true
    changed.wake()
  })
  return queue
}

function firstBytes(errors: Socket): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  errors.on('data', (chunk: Buffer) => {
    if (bytes < MAX_ERROR_BYTES) chunks.push(chunk.subarray(0, MAX_ERROR_BYTES - bytes))
    bytes += chunk.length
  })
  return new Promise((resolve) => errors.on('close', () => resolve(Buffer.concat(chunks).toString().trim())))
}

/**
 * Its exit codes: 1 if nothing was found, 2 also if some files could not be read (true), of which
 * `--no-messages` prints nothing.
 */
function checkEnd(status: ExitStatus, complaint: string): boolean {
  if ('signal' in status)
    throw new AppError(
      'resource_exhausted',
      `the search was killed by signal ${status.signal}: it took too much memory`,
    )
  if (status.exitCode >= 2 && complaint !== '') throw new AppError('invalid_argument', complaint)
  return status.exitCode >= 2
}
