import type { Hold } from '../budget/budget.ts'
import type { Log } from '../log.ts'
import { unpackStored } from '../native/entries.ts'
import { storeFile } from '../native/files.ts'
import { type FileUser, permitted } from './file-user.ts'
import { type FinishedFile, finishError, METADATA_PREFIX, type Metadata, toFinishedFile } from './metadata.ts'
import { type OpenedFile, toOpenedFile } from './open-anew.ts'

/** What is stored. */
interface SmallFile {
  readonly content: Buffer
  readonly owner: FileUser
  readonly metadata: Metadata
  readonly hold: Hold
  readonly log: Log
}

/** Either the file as it is in the end, or the file that is open still and what is to be written into it. */
type StoredAtOnce =
  | { readonly finished: FinishedFile }
  | { readonly finished?: undefined; readonly file: OpenedFile; readonly rest: Buffer }

/** Calls that fail only when all was written. */
const FINISHING = new Set(['flistxattr', 'fremovexattr', 'fsetxattr', 'close'])

/**
 * Opens a file, writes all of its content, sets its metadata and closes it: `openAnew`, a write and
 * `finishWithMetadata` in one. What cannot be written is returned with the open file. Rejects as those two.
 */
export async function storeAtOnce(path: string, small: SmallFile): Promise<StoredAtOnce> {
  const { content, owner, metadata, hold, log } = small
  const counted = hold.tryGrow(content.length)
  const pairs = [...metadata].flat()
  try {
    const store = () => storeFile(Buffer.from(path), owner, content, METADATA_PREFIX, pairs)
    const { opened, written, finished } = unpackStored(await permitted(path, store))
    if (finished !== undefined) return { finished: toFinishedFile(finished, { metadata, log }) }
    return { file: await toOpenedFile(opened, { path, owner, empty: true }), rest: content.subarray(written) }
  } catch (error) {
    throw error instanceof Error && 'syscall' in error && FINISHING.has(String(error.syscall))
      ? finishError(error)
      : error
  } finally {
    if (counted) hold.shrink(content.length)
  }
}
