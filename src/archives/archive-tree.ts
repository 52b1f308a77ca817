import { close, constants, fstat, read } from 'node:fs'
import { promisify } from 'node:util'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { failure, fileErrno } from '../filesystem/failure.ts'
import { type FileUser, permitted } from '../filesystem/file-user.ts'
import { listTree, openTree, openTreeFile, readTree, type TreeEntry, unpackTree } from '../native/tree.ts'
import { TAR_END, type TarHeader, tarHeader, tarPadding } from './tar-header.ts'

/** Which tree is archived, and how. */
interface TreeOptions {
  /** Absolute. */
  readonly path: string
  readonly owner: FileUser
  /** Whether an entry, by its path in the tree with one character per byte, is left out with all below it. */
  readonly exclude?: ((path: string, isDirectory: boolean) => boolean) | undefined
  /** Before every name: empty, or with a slash at its end. */
  readonly prefix: Buffer
  /** Counts names, directories that wait and links that are remembered. The caller releases it. */
  readonly hold: Hold
  /** Called for each entry that could not be archived as it is, with its path in the tree. */
  readonly onLeftOut: (path: Buffer) => void
}

/** Bytes that one piece of work reads; one small file comes on top. */
const BATCH_BYTES = 256 * 1024
/** Of all names in one directory: some 400,000. */
const MAX_NAMES_BYTES = 16 * 1024 * 1024
/** Files of several names that are remembered; later ones are archived as if they had one. */
const MAX_LINKED = 65_536
/** Memory of one of these, or of a directory that is yet to be read, beside its name. */
const ENTRY_BYTES = 128
/** Memory of one archive beside names: a batch that is read, one that is encoded, and one on its way. */
export const TREE_BYTES = 4 * BATCH_BYTES

const closeFile = promisify(close)
const readFile = promisify(read)
const statFile = promisify(fstat)

/**
 * Opens a directory to be archived, for `archiveTree`; the caller closes the descriptor. Undefined: it is no directory.
 * Rejects with AppError not_found, permission_denied or internal.
 */
export async function openTreeRoot(path: string, owner: FileUser): Promise<number | undefined> {
  try {
    return (await permitted(path, () => openTree(Buffer.from(path), owner))).readInt32LE(0)
  } catch (error) {
    if (error instanceof AppError) throw error
    if (fileErrno(error) === 'ENOTDIR') return undefined
    const [kind, what] =
      fileErrno(error) === 'ENOENT'
        ? (['not_found', `path '${path}' does not exist`] as const)
        : (['internal', ''] as const)
    throw new AppError(kind, what || `error opening directory '${path}': ${failure('open', path, error)}`, {
      cause: error,
    })
  }
}

/**
 * The tree below an open directory as a tar archive (pax), in constant memory and the same order every time: each
 * directory before what is in it, entries in byte order. Links are archived as such, and files of several names once.
 * What cannot be read, or is neither file, directory nor link, is left out; a large file that shrinks meanwhile is
 * filled up with zeros. Rejects with AppError budget_spent or the system error.
 */
export async function* archiveTree(root: number, options: TreeOptions): AsyncGenerator<Buffer> {
  const encoder = createEncoder(root, options)
  const waiting: Buffer[] = [Buffer.alloc(0)]
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    if (directory.length > 0) options.hold.shrink(directory.length + ENTRY_BYTES)
    const below: Buffer[] = []
    for await (const packed of batches(root, directory, options)) yield* encoder.encode(directory, packed, below)
    waiting.push(...below.reverse())
  }
  yield TAR_END
}

/** What `readTree` packs, one batch read while the last one is encoded. */
async function* batches(root: number, directory: Buffer, options: TreeOptions): AsyncGenerator<Buffer> {
  const { owner, hold, onLeftOut } = options
  let names: Buffer
  try {
    names = await listTree(root, directory, owner, MAX_NAMES_BYTES)
  } catch {
    onLeftOut(directory)
    return
  }
  hold.grow(names.length)
  const ahead = (rest: Buffer) => {
    const reading = readTree(root, directory, owner, rest, BATCH_BYTES)
    // It is awaited later, or not at all.
    reading.catch(() => {})
    return reading
  }
  let next = names.length > 0 ? ahead(names) : undefined
  try {
    for (let rest = names; next !== undefined; ) {
      const packed: Buffer | undefined = await next.catch(() => undefined)
      // It went meanwhile.
      if (packed === undefined) return onLeftOut(directory)
      rest = rest.subarray(packed.readUInt32LE(0))
      next = rest.length > 0 ? ahead(rest) : undefined
      yield packed.subarray(4)
    }
  } finally {
    await next?.catch(() => {})
    hold.shrink(names.length)
  }
}

/** Turns what was read into the bytes of the archive. */
function createEncoder(root: number, options: TreeOptions) {
  const { exclude, prefix, onLeftOut } = options
  const names = createFirstNames(options.hold)
  /** The bytes of a large file, or nothing. */
  async function* large(entry: TreeEntry, name: Buffer, path: Buffer): AsyncGenerator<Buffer> {
    const opened = await openTreeFile(root, path, options.owner).catch(() => undefined)
    if (opened !== undefined)
      return yield* largeFile(opened.readInt32LE(0), { entry, name, onCut: () => onLeftOut(path) })
    names.forget(entry)
    onLeftOut(path)
  }
  return {
    /** The bytes of a batch; the directories in it are added to `below`. */
    async *encode(directory: Buffer, packed: Buffer, below: Buffer[]): AsyncGenerator<Buffer> {
      let chunks: Buffer[] = []
      for (const entry of unpackTree(packed)) {
        const path = directory.length === 0 ? Buffer.from(entry.name) : Buffer.concat([directory, SLASH, entry.name])
        const type = typeOf(entry)
        if (exclude?.(path.toString('latin1'), type === 'directory')) continue
        if (type === undefined) {
          onLeftOut(path)
          continue
        }
        if (type === 'directory') {
          options.hold.grow(path.length + ENTRY_BYTES)
          below.push(path)
        }
        const name = Buffer.concat(type === 'directory' ? [prefix, path, SLASH] : [prefix, path])
        const first = type === 'file' ? names.firstOf(entry, name) : undefined
        if (type === 'file' && first === undefined && entry.content === undefined) {
          yield Buffer.concat(chunks)
          chunks = []
          yield* large(entry, name, path)
        } else chunks.push(...small(entry, { name, type, first }))
      }
      if (chunks.length > 0) yield Buffer.concat(chunks)
    },
  }
}

interface SmallEntry extends Pick<TarHeader, 'name' | 'type'> {
  readonly first: Buffer | undefined
}

function small(entry: TreeEntry, { name, type, first }: SmallEntry): Buffer[] {
  if (first !== undefined) return [headerOf(entry, { name, link: first, type: 'hard link', size: 0 })]
  const { content = EMPTY } = entry
  if (type === 'link') return [headerOf(entry, { name, link: content, type, size: 0 })]
  return [headerOf(entry, { name, link: EMPTY, type, size: content.length }), content, tarPadding(content.length)]
}

function typeOf({ mode, error }: TreeEntry): TarHeader['type'] | undefined {
  const kind = mode & constants.S_IFMT
  if (error !== '') return undefined
  if (kind === constants.S_IFREG) return 'file'
  if (kind === constants.S_IFLNK) return 'link'
  return kind === constants.S_IFDIR ? 'directory' : undefined
}

/** Remembers files of several names by their first one. */
function createFirstNames(hold: Hold) {
  const names = new Map<string, Buffer>()
  const keyOf = ({ device, inode }: TreeEntry) => `${device}:${inode}`
  return {
    /** The name that the file was archived by already; undefined: none, and this is the one from now on. */
    firstOf: (entry: TreeEntry, name: Buffer): Buffer | undefined => {
      if (entry.links < 2) return undefined
      const known = names.get(keyOf(entry))
      if (known !== undefined || names.size >= MAX_LINKED) return known
      hold.grow(name.length + ENTRY_BYTES)
      names.set(keyOf(entry), name)
      return undefined
    },
    forget: (entry: TreeEntry) => names.delete(keyOf(entry)),
  }
}

interface LargeFile {
  readonly entry: TreeEntry
  readonly name: Buffer
  /** Called if it has become shorter than announced. */
  readonly onCut: () => void
}

/** Closes the descriptor. */
async function* largeFile(fd: number, { entry, name, onCut }: LargeFile): AsyncGenerator<Buffer> {
  try {
    const { size } = await statFile(fd)
    yield headerOf(entry, { name, link: EMPTY, type: 'file', size })
    let left = size
    for (let bytes = 1; left > 0 && bytes > 0; left -= bytes) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(left, BATCH_BYTES))
      bytes = await readBytes(fd, buffer)
      if (bytes > 0) yield buffer.subarray(0, bytes)
    }
    if (left > 0) onCut()
    for (; left > 0; left -= Math.min(left, BATCH_BYTES)) yield Buffer.alloc(Math.min(left, BATCH_BYTES))
    yield tarPadding(size)
  } finally {
    await closeFile(fd)
  }
}

const SLASH = Buffer.from('/')
const EMPTY = Buffer.alloc(0)

/** 0: the end, also for a file that cannot be read any more. */
function readBytes(fd: number, buffer: Buffer): Promise<number> {
  return readFile(fd, buffer, 0, buffer.length, null).then(
    ({ bytesRead }) => bytesRead,
    () => 0,
  )
}

interface HeaderParts extends Pick<TarHeader, 'name' | 'link' | 'type'> {
  readonly size: number
}

function headerOf(entry: TreeEntry, { size, ...parts }: HeaderParts): Buffer {
  return tarHeader({ ...entry, ...parts, size: BigInt(size), mode: entry.mode & 0o7777 })
}
