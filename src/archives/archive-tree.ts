import type { Hold } from '../budget/budget.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import type { Steps } from '../lib/steps.ts'
import {
  filterNames,
  listTree,
  openTreeFile,
  readTree,
  type TreeEntry,
  tarHeader,
  unpackTree,
  unpackTreeEntry,
} from '../native/tree.ts'
import { archiveLargeFile, PIECE_BYTES, TAR_END, tarPadding } from './archive-large-file.ts'
import { IgnoreFiles, type IgnoreRules } from './ignore-files.ts'

/** Which tree is archived, and how. */
interface TreeOptions {
  /** Absolute. */
  readonly path: string
  readonly owner: FileUser
  /** Whether an entry, by its path in the tree with one character per byte, is left out with all below it. */
  readonly exclude?: ((path: string, isDirectory: boolean) => Steps<boolean>) | undefined
  /** Reads the rules of a .gitignore: the entries are left out that they name, and `.git`. Undefined: all come. */
  readonly ignoreRules?: ((text: string) => Steps<IgnoreRules | undefined>) | undefined
  /** A file of several names comes with its content under each, and holes come as zeros. */
  readonly plainFiles?: boolean
  /** Names of owners (`packOwners`); default: none. */
  readonly owners?: Buffer
  /** Before every name: empty, or with a slash at its end. */
  readonly prefix: Buffer
  /** Components that every name loses; what has no more is left out. Default: none. */
  readonly strip?: number
  /** Times lose their fractions, which take a header of their own. */
  readonly wholeSeconds?: boolean
  /** Pieces must not be used any more when the next one is asked for. */
  readonly frees?: boolean
  /** Counts names, directories that wait and links that are remembered. The caller releases it. */
  readonly hold: Hold
  /** Called for each entry that could not be archived as it is, with its path in the tree. */
  readonly onLeftOut: (path: Buffer) => void
  /** Looked at before each directory. Who only ends the iteration waits for the next piece, which may be far away. */
  readonly signal: AbortSignal
}

/**
 * Bytes that one piece of work reads; one small file comes on top. Their memory is taken from the kernel anew each time
 * (scripts/launch-options), which costs less than the more turns of smaller ones.
 */
const BATCH_BYTES = 512 * 1024
/** Bytes of all names in one directory: some 400,000 names. */
const MAX_NAMES_BYTES = 16 * 1024 * 1024
/** Bytes of names for one piece of work. */
const NAMES_BYTES = 64 * 1024
/** Files of several names that are remembered; later ones are archived as if they had one. */
const MAX_LINKED = 65_536
/** Memory of one of these, or of a directory that is yet to be read, beside its name. */
const ENTRY_BYTES = 128
/** Batches that are read ahead. */
const MAX_AHEAD = 2
/** Of all names in a directory that is read ahead, some 3,000: a larger one is read when its names are counted. */
const MAX_AHEAD_NAMES_BYTES = 64 * 1024
/** Memory of one archive beside names: what is read ahead, a batch that is encoded, and one on its way. */
export const TREE_BYTES = (MAX_AHEAD + 1) * 2 * BATCH_BYTES + MAX_AHEAD * MAX_AHEAD_NAMES_BYTES + 3 * PIECE_BYTES

/**
 * The tree below an open directory as a tar archive (pax), in constant memory and the same order every time: each
 * directory before what is in it, entries in byte order. Links are archived as such, and files of several names once.
 * What cannot be read, or is neither file, directory nor link, is left out; a large file that shrinks meanwhile is
 * filled up with zeros. Rejects with the signal's reason, AppError budget_spent or the system error.
 */
export async function* archiveTree(root: number, options: TreeOptions): AsyncGenerator<Buffer> {
  const { hold, onLeftOut, strip = 0 } = options
  const encoder = new TreeEncoder(root, options)
  const ignored = options.ignoreRules && new IgnoreFiles(root, { ...options, rulesOf: options.ignoreRules })
  const ahead = new ReadAhead((directory, limit) => read(root, directory, limit, { ...options, ignored }))
  const waiting: Directory[][] = []
  let next: Directory | undefined = directoryAt(EMPTY)
  hold.grow(sizeOf(next))
  try {
    while (next !== undefined) {
      options.signal.throwIfAborted()
      const current: Directory = next
      const done: Read | undefined = await ahead.take(current)
      options.signal.throwIfAborted()
      if (done === undefined) onLeftOut(current.path)
      for (const list of directoriesAfter(current, done, hold)) waiting.push(list)
      hold.shrink(sizeOf(current))
      next = takeNext(waiting)
      // Read while this one is sent.
      ahead.start(next)
      ahead.start(waiting.at(-1)?.at(-1))
      if (done !== undefined && depthOf(current.path) >= strip) yield* encoder.encode(done.batch)
    }
  } finally {
    await ahead.settled()
  }
  yield TAR_END
}

/** Reads a directory of at most `limit` bytes of names; undefined: it could not be read. */
type ReadDirectory = (directory: Directory, limit: number) => Promise<Read | undefined>

/** Reads directories before it is their turn. */
class ReadAhead {
  readonly #read: ReadDirectory
  readonly #started = new Map<Directory, Promise<Read | undefined>>()

  /** @param read never rejects. */
  constructor(read: ReadDirectory) {
    this.#read = read
  }

  start(directory: Directory | undefined): void {
    if (directory === undefined || this.#started.has(directory) || this.#started.size >= MAX_AHEAD) return
    this.#started.set(directory, this.#read(directory, MAX_AHEAD_NAMES_BYTES))
  }

  async take(directory: Directory): Promise<Read | undefined> {
    const started = this.#started.get(directory)
    this.#started.delete(directory)
    return (await started) ?? this.#read(directory, MAX_NAMES_BYTES)
  }

  async settled(): Promise<void> {
    await Promise.all(this.#started.values())
  }
}

/** A directory that is yet to be read, or the rest of it. */
interface Directory {
  readonly path: Buffer
  /** Undefined: they are not known yet. */
  readonly names: Buffer | undefined
  /** Directories among the names that were used already: a list of each piece of work, the last of the last first. */
  readonly found: readonly Directory[][]
}

function directoryAt(path: Buffer): Directory {
  return { path, names: undefined, found: [] }
}

/** Memory that a directory takes while it waits, without those found in it. */
function sizeOf({ path, names }: Directory): number {
  return path.length + ENTRY_BYTES + (names?.length ?? 0)
}

interface Read {
  /** Undefined: they were listed by the same piece of work, which then went on to directories below. */
  readonly names: Buffer | undefined
  readonly batch: ReturnType<typeof unpackTree>
}

/** What is to be read after a directory, the last of the last list first. What is new is counted in `hold`. */
function directoriesAfter(directory: Directory, read: Read | undefined, hold: Hold): readonly Directory[][] {
  if (read === undefined) return directory.found
  const { names, batch } = read
  const waitAt = (path: Buffer) => {
    const one = directoryAt(path)
    hold.grow(sizeOf(one))
    return one
  }
  const found = [batch.found.map(waitAt).reverse(), ...directory.found]
  const others = batch.others.map(waitAt).reverse()
  const rest = names === undefined ? batch.rest : { path: directory.path, names: names.subarray(batch.used) }
  if (rest === undefined || rest.names.length === 0) return [others, ...found]
  const left = { ...rest, found }
  hold.grow(sizeOf(left))
  return [others, [left]]
}

/** Takes the last of the last list; no empty one is at the end then. */
function takeNext(lists: Directory[][]): Directory | undefined {
  const trim = () => {
    while (lists.at(-1)?.length === 0) lists.pop()
  }
  trim()
  const next = lists.at(-1)?.pop()
  trim()
  return next
}

/** Undefined: the directory could not be read. Never rejects. */
async function read(
  root: number,
  directory: Directory,
  limit: number,
  options: TreeOptions & { readonly ignored: IgnoreFiles | undefined },
): Promise<Read | undefined> {
  const { owner, owners = EMPTY, exclude, ignored, strip = 0, wholeSeconds = false } = options
  const { path } = directory
  try {
    // Of what loses its whole name only what is below it counts.
    const chosen = exclude !== undefined || ignored !== undefined || depthOf(path) < strip
    const names = directory.names ?? (chosen ? await chooseNames(root, path, limit, options) : undefined)
    const first = names?.subarray(0, NAMES_BYTES)
    const leading = path.length === 0 ? options.prefix : nameIn(Buffer.concat([path, SLASH]), options)
    const packed = await readTree(root, path, owner, leading, BATCH_BYTES, limit, first, owners, wholeSeconds)
    return { names, batch: unpackTree(packed) }
  } catch {
    return undefined
  }
}

/** The names in a directory that are archived, or of which something below is. */
async function chooseNames(
  root: number,
  path: Buffer,
  limit: number,
  { owner, exclude, ignored, strip = 0, signal }: TreeOptions & { readonly ignored: IgnoreFiles | undefined },
): Promise<Buffer> {
  const inside = path.length === 0 ? '' : `${path.toString('latin1')}/`
  const isStripped = depthOf(path) < strip
  const all = await listTree(root, path, owner, limit)
  await ignored?.enter(path)
  return await filterNames(all, function* (name, isDirectory) {
    signal.throwIfAborted()
    const entry = inside + name.toString('latin1')
    if (isStripped && !isDirectory) return false
    if (exclude !== undefined && (yield* exclude(entry, isDirectory))) return false
    return ignored === undefined || !(yield* ignored.ignores(entry, isDirectory))
  })
}

/** Directories down to one. */
function depthOf(path: Buffer): number {
  if (path.length === 0) return 0
  let depth = 1
  for (const byte of path) if (byte === SLASH[0]) depth++
  return depth
}

/** The name in the archive of what has that path in the tree. */
function nameIn(path: Buffer, { prefix, strip = 0 }: TreeOptions): Buffer {
  return Buffer.concat([prefix, Buffer.from(path.toString('latin1').split('/').slice(strip).join('/'), 'latin1')])
}

/** Makes the archive of what was read. */
class TreeEncoder {
  readonly #root: number
  readonly #options: TreeOptions
  /** The first names of files that have several, by their identity. */
  readonly #first = new Map<string, Buffer>()

  constructor(root: number, options: TreeOptions) {
    this.#root = root
    this.#options = options
  }

  async *encode({ pieces }: Read['batch']): AsyncGenerator<Buffer> {
    for (const { kind, bytes } of pieces) {
      if (kind === 'bytes') yield bytes
      else if (kind === 'left out') this.#options.onLeftOut(bytes)
      else yield* this.#entry(unpackTreeEntry(bytes), kind === 'large')
    }
  }

  async *#entry(entry: TreeEntry, large: boolean): AsyncGenerator<Buffer> {
    const { facts, path, content } = entry
    const name = nameIn(path, this.#options)
    const first = this.#firstName(entry, name)
    const { owners = EMPTY } = this.#options
    if (first !== undefined) yield tarHeader({ facts, name, link: first, type: 'hard link', size: 0, owners })
    else if (large) yield* this.#large(entry, name)
    else {
      const header = tarHeader({ facts, name, link: EMPTY, type: 'file', size: content.length, owners })
      yield Buffer.concat([header, content, tarPadding(content.length)])
    }
  }

  /** The name that the file was archived by already; undefined: none, and this is the one from now on. */
  #firstName({ links, identity }: TreeEntry, name: Buffer): Buffer | undefined {
    if (links < 2 || this.#options.plainFiles) return undefined
    const known = this.#first.get(identity)
    if (known !== undefined || this.#first.size >= MAX_LINKED) return known
    this.#options.hold.grow(name.length + ENTRY_BYTES)
    this.#first.set(identity, name)
    return undefined
  }

  /** The bytes of a large file, or nothing. */
  async *#large(entry: TreeEntry, name: Buffer): AsyncGenerator<Buffer> {
    const { owner, owners = EMPTY, plainFiles, frees = false, onLeftOut } = this.#options
    const { path } = entry
    const opened = await openTreeFile(this.#root, path, owner).catch(() => undefined)
    if (opened !== undefined)
      return yield* archiveLargeFile(opened.readInt32LE(0), {
        ...{ facts: entry.facts, name, owners, holes: plainFiles !== true, frees },
        onCut: () => onLeftOut(path),
      })
    this.#first.delete(entry.identity)
    onLeftOut(path)
  }
}

const SLASH = Buffer.from('/')
const EMPTY = Buffer.alloc(0)
