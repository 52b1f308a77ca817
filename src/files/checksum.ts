import { createHash } from 'node:crypto'
import type { Hold } from '../budget/budget.ts'
import { checkDownload, openDownload } from '../filesystem/download.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { openTreeRoot } from '../filesystem/tree-root.ts'
import { baseName } from '../lib/clean-path.ts'
import { createTimeSlice, type TimeSlice } from '../lib/time-slice.ts'
import { closeFile, readInto } from '../native/file-calls.ts'
import { openTreeFile } from '../native/tree.ts'
import { walkTree } from './walk-tree.ts'

/** What a checksum sends. */
export type ChecksumItem =
  | { readonly kind: 'file'; readonly path: Buffer; readonly sha256: Buffer; readonly size: number }
  | {
      readonly kind: 'summary'
      readonly sha256: Buffer
      readonly files: number
      readonly bytes: number
      readonly leftOut: number
    }
  | { readonly kind: 'keepalive' }

interface ChecksumOptions {
  readonly owner: FileUser
  /** Milliseconds between keepalives. */
  readonly keepalive: number
  readonly signal: AbortSignal
  /** Counts its memory. The caller releases it. */
  readonly hold: Hold
}

/** One read; it is hashed in less than a millisecond. */
const READ_BYTES = 256 * 1024

/**
 * The checksum of a file, or of every file below a directory and of the manifest that they make. Rejects with AppError
 * as `openTreeRoot` and as a download does.
 */
export async function* checksum(path: string, options: ChecksumOptions): AsyncGenerator<ChecksumItem[], void> {
  const root = await openTreeRoot(path, options.owner)
  if (root === undefined) return yield* checksumFile(path, options)
  try {
    yield* checksumTree(root, options)
  } finally {
    await closeFile(root)
  }
}

/**
 * The checksums of the files below an open directory, those of a batch at a time, in an order that depends on their
 * names alone, and of the manifest that they make. A file that cannot be read is counted and left out. Rejects with the
 * signal's reason or AppError budget_spent.
 */
async function* checksumTree(root: number, options: ChecksumOptions): AsyncGenerator<ChecksumItem[], void> {
  const { owner, signal, hold, keepalive } = options
  hold.grow(READ_BYTES)
  const reading = { buffer: Buffer.allocUnsafeSlow(READ_BYTES), slice: createTimeSlice(), signal }
  const manifest = createHash('sha256')
  const total = { files: 0, bytes: 0, leftOut: 0 }
  const leaveOut = () => {
    total.leftOut++
    return undefined
  }
  let said = performance.now()
  for await (const path of walkTree(root, { owner, signal, hold, onLeftOut: leaveOut })) {
    const opened = await openTreeFile(root, path, owner).catch(leaveOut)
    if (opened === undefined) continue
    let sum: Sum | undefined
    for await (const step of sumOpen(opened.readInt32LE(0), reading)) {
      sum = step
      if (step !== undefined || performance.now() - said <= keepalive) continue
      said = performance.now()
      yield [{ kind: 'keepalive' }]
    }
    if (sum === undefined) {
      leaveOut()
      continue
    }
    total.files++
    total.bytes += sum.size
    manifest.update(Buffer.concat([Buffer.from(`${sum.sha256.toString('hex')}  `), path, LINE_FEED]))
    yield [{ kind: 'file', path, ...sum }]
  }
  yield [{ kind: 'summary', sha256: manifest.digest(), ...total }]
}

const LINE_FEED = Buffer.from('\n')

interface Sum {
  readonly sha256: Buffer
  readonly size: number
}

/** Sums an open file and closes it: undefined after each piece, then the sum; none if it could not be read. */
async function* sumOpen(
  fd: number,
  { buffer, slice, signal }: { readonly buffer: Buffer; readonly slice: TimeSlice; readonly signal: AbortSignal },
): AsyncGenerator<Sum | undefined, void> {
  try {
    const hash = createHash('sha256')
    let size = 0
    for (;;) {
      signal.throwIfAborted()
      const bytes = await readInto(fd, buffer, null).catch(() => undefined)
      if (bytes === undefined) return
      if (bytes === 0) break
      hash.update(buffer.subarray(0, bytes))
      size += bytes
      await slice.next()
      yield undefined
    }
    yield { sha256: hash.digest(), size }
  } finally {
    await closeFile(fd)
  }
}

/** The checksum of one file, as a message and as the summary. Rejects with AppError as a download does. */
async function* checksumFile(path: string, options: ChecksumOptions): AsyncGenerator<ChecksumItem[], void> {
  const { owner, hold, signal, keepalive } = options
  await checkDownload(path, owner)
  hold.grow(READ_BYTES)
  const file = await openDownload(path, owner, hold)
  try {
    const hash = createHash('sha256').update(file.head)
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    const slice = createTimeSlice()
    let said = performance.now()
    let size = file.head.length
    for (let bytes = size; bytes > 0 && size !== file.size; size += bytes) {
      signal.throwIfAborted()
      await slice.next()
      bytes = await file.read(buffer, file.size === undefined ? null : size)
      hash.update(buffer.subarray(0, bytes))
      if (performance.now() - said <= keepalive) continue
      said = performance.now()
      yield [{ kind: 'keepalive' }]
    }
    const sum = { sha256: hash.digest(), size }
    yield [{ kind: 'file', path: Buffer.from(baseName(path)), ...sum }]
    yield [{ kind: 'summary', sha256: sum.sha256, files: 1, bytes: size, leftOut: 0 }]
  } finally {
    await file.close()
  }
}
