import type { Hold } from '../budget/budget.ts'
import { createFileSink } from '../filesystem/file-sink.ts'
import { closeFile, truncateFile, unlinkPath, writePieces } from '../native/file-calls.ts'
import type { Actor } from '../native/files.ts'
import { openUnpacked, placeUnpacked, unpackOpenUnpacked } from '../native/unpack.ts'
import type { ArchiveEntry, SparsePiece } from './tar-entry.ts'

/** A file that is written as it comes, and has its name when it is whole. */
export interface LargeFile {
  /** Writes as `Sink.write`. */
  write(content: Buffer): Promise<void> | undefined
  /** Puts it in its place, with what `packUnpacked` has packed of its entry. Rejects with the system error. */
  place(packed: Buffer): Promise<void>
  /** Closes it and, unless it was placed, removes it. Never rejects; idempotent. */
  close(): Promise<void>
}

/** Whom it is for, and where it goes. */
interface LargeFileOptions {
  readonly owner: Actor
  readonly archiveOwners: boolean
  readonly path: Buffer
  readonly entry: ArchiveEntry
  readonly hold: Hold
}

/** Opens it below an open directory; the caller closes it. Rejects with the system error. */
export async function openLargeFile(root: number, options: LargeFileOptions): Promise<LargeFile> {
  const { owner, archiveOwners, path, entry, hold } = options
  const packed = await openUnpacked(owner, archiveOwners, root, path)
  const { fd, parent, name, temporary } = unpackOpenUnpacked(packed)
  const { sparse } = entry
  const sink = sparse === undefined ? createFileSink(fd, hold) : createPiecesSink(fd, sparse.pieces)
  let open = true
  let placed = false
  return {
    write: (content) => sink.write(content),
    place: async (facts) => {
      await sink.end()
      if (sparse !== undefined) await truncateFile(fd, sparse.size)
      await placeUnpacked(owner, archiveOwners, fd, parent, name, temporary, facts)
      placed = true
    },
    close: async () => {
      if (!open) return
      open = false
      await sink.settled()
      if (!placed && temporary.length > 0) {
        const place = Buffer.concat([Buffer.from(`/proc/self/fd/${parent}/`), temporary])
        await unlinkPath(place).catch(() => {})
      }
      for (const descriptor of [fd, parent]) await closeFile(descriptor)
    },
  }
}

/** Writes the content of a file with holes, piece by piece. */
function createPiecesSink(fd: number, pieces: readonly SparsePiece[]) {
  let index = 0
  let done = 0
  let writing: Promise<void> = Promise.resolve()
  const writeContent = async (content: Buffer) => {
    for (let at = 0; at < content.length; ) {
      const piece = pieces[index]
      if (piece === undefined) return
      const bytes = content.subarray(at, at + piece.length - done)
      await writePieces(fd, [bytes], piece.offset + done)
      at += bytes.length
      done += bytes.length
      if (done < piece.length) continue
      index++
      done = 0
    }
  }
  return {
    write: (content: Buffer) => {
      writing = writeContent(content)
      return writing
    },
    end: () => writing,
    settled: () => writing.catch(() => {}),
  }
}
