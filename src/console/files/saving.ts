import type { FilesApi } from './api.ts'
import { FileFailure } from './failure.ts'
import { copyName, joinPath, nameOf, parentOf } from './paths.ts'

/** How saving ended. */
export type Saved =
  | { readonly kind: 'saved'; readonly path: string; readonly tag: string | undefined }
  /** Another process has written or removed the file; nothing was changed. */
  | { readonly kind: 'conflict' }

type Writer = Pick<FilesApi, 'write'>

const CONDITION_FAILED = 412

/** Copies that are tried before one gives up: each takes a request. */
const MAX_COPIES = 20

/**
 * Writes a text if the file is still as it was read. Rejects with the failure of the write.
 * @param tag of the file as it was read; undefined: it had none, and is written whatever it is.
 */
export async function save(api: Writer, path: string, text: string, tag: string | undefined): Promise<Saved> {
  try {
    return { kind: 'saved', path, tag: await api.write(path, text, tag === undefined ? 'none' : { tag }) }
  } catch (error) {
    if (error instanceof FileFailure && error.status === CONDITION_FAILED) return { kind: 'conflict' }
    throw error
  }
}

/** Writes a text beside the file, under the first name of a copy that is free. */
export async function saveCopy(api: Writer, path: string, text: string): Promise<Saved> {
  for (let number = 1; number <= MAX_COPIES; number++) {
    const copy = joinPath(parentOf(path), copyName(nameOf(path), number))
    try {
      return { kind: 'saved', path: copy, tag: await api.write(copy, text, 'absent') }
    } catch (error) {
      if (!(error instanceof FileFailure && error.status === CONDITION_FAILED)) throw error
    }
  }
  throw new FileFailure(`There are ${MAX_COPIES} copies already`, CONDITION_FAILED)
}
