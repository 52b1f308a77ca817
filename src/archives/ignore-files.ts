import type { Hold } from '../budget/budget.ts'
import { fileErrno } from '../filesystem/failure.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { closeFile, readInto, statFile } from '../native/file-calls.ts'
import { openTreeFile } from '../native/tree.ts'

/** Whether an entry is left out (true) or taken back (false); undefined: they say nothing of it. */
export type IgnoreRules = (path: string, isDirectory: boolean) => boolean | undefined

/** Of one .gitignore: large projects have 10 KiB. Each byte takes a step for each byte of a name at worst. */
const MAX_FILE_BYTES = 16 * 1024
/** Bytes of all such files in one tree. */
const MAX_BYTES = 256 * 1024
/** Memory of parsed rules, for each byte of their text. */
const PARSED_FACTOR = 16

interface IgnoreOptions {
  readonly owner: FileUser
  readonly hold: Hold
  readonly rulesOf: (text: string) => IgnoreRules | undefined
}

/** The .gitignore files of a tree (gitignore(5)), each for what is below its directory; the deepest one counts. */
export class IgnoreFiles {
  readonly #root: number
  readonly #options: IgnoreOptions
  /** By the path of the directory. */
  readonly #rules = new Map<string, IgnoreRules>()
  #bytes = 0

  constructor(root: number, options: IgnoreOptions) {
    this.#root = root
    this.#options = options
  }

  /**
   * Reads the file of a directory, before its entries are judged and after those of the directories above it. Rejects
   * for one that is too large or cannot be read, as what it names is not to be sent.
   */
  async enter(directory: Buffer): Promise<void> {
    const path = directory.length === 0 ? NAME : Buffer.concat([directory, SLASH, NAME])
    const { owner, hold, rulesOf } = this.#options
    const opened = await openTreeFile(this.#root, path, owner).catch((error: unknown) => {
      // As git does with what is no file of its own.
      if (ABSENT.has(fileErrno(error) ?? '')) return undefined
      throw error
    })
    if (opened === undefined) return
    const text = await contentOf(opened.readInt32LE(0))
    this.#bytes += text.length
    if (this.#bytes > MAX_BYTES) throw new Error('too many rules')
    hold.grow(text.length * PARSED_FACTOR)
    const rules = rulesOf(text)
    if (rules !== undefined) this.#rules.set(directory.toString('latin1'), rules)
  }

  /** Whether an entry, of a directory that was entered, is left out. One character per byte. */
  ignores(path: string, isDirectory: boolean): boolean {
    if (path === GIT || path.endsWith(`/${GIT}`)) return true
    if (this.#rules.size === 0) return false
    for (let at = path.lastIndexOf('/'); ; at = path.lastIndexOf('/', at - 1)) {
      const directory = at < 0 ? '' : path.slice(0, at)
      const ignored = this.#rules.get(directory)?.(path.slice(at + 1), isDirectory)
      if (ignored !== undefined) return ignored
      if (at <= 0) return false
    }
  }
}

const NAME = Buffer.from('.gitignore')
const GIT = '.git'
const SLASH = Buffer.from('/')
const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'EISDIR', 'ELOOP', 'EINVAL', 'ENXIO'])

/** Closes the descriptor. */
async function contentOf(fd: number): Promise<string> {
  try {
    const size = Number((await statFile(fd)).size)
    if (size > MAX_FILE_BYTES) throw new Error('a .gitignore is too large')
    const buffer = Buffer.alloc(size)
    return buffer.toString('utf8', 0, await readInto(fd, buffer, 0))
  } finally {
    await closeFile(fd)
  }
}
