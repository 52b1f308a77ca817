import type { Hold } from '../budget/budget.ts'
import { fileErrno } from '../filesystem/failure.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { inSlices, type Steps } from '../lib/steps.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { loopTurns } from '../lib/turns.ts'
import { closeFile, readInto, statFile } from '../native/file-calls.ts'
import { openTreeFile } from '../native/tree.ts'

/** Whether an entry is left out (true) or taken back (false); undefined: they say nothing of it. */
export type IgnoreRules = (path: string, isDirectory: boolean) => Steps<boolean | undefined>

/** Of one .gitignore: large projects have 10 KiB. Each byte takes a step for each byte of a path at worst. */
const MAX_FILE_BYTES = 16 * 1024
/** Bytes of all such files in one tree. */
const MAX_BYTES = 256 * 1024
/** Memory of parsed rules, for each byte and each line of their text. */
const [PARSED_FACTOR, LINE_BYTES] = [48, 320]

interface IgnoreOptions {
  readonly owner: FileUser
  readonly hold: Hold
  readonly rulesOf: (text: string) => Steps<IgnoreRules | undefined>
}

/** The .gitignore files of a tree (gitignore(5)), each for what is below its directory; the deepest one counts. */
export class IgnoreFiles {
  readonly #root: number
  readonly #options: IgnoreOptions
  /** By the path of the directory. */
  readonly #rules = new Map<string, IgnoreRules>()
  #bytes = 0
  /** Those for what is in the directory that was last asked for. */
  #last: { readonly directory: string; readonly rules: readonly Applied[] } | undefined

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
    await loopTurns.turn(this)
    hold.grow(text.length * PARSED_FACTOR + (text.split('\n').length - 1) * LINE_BYTES)
    const rules = await inSlices(rulesOf(text), createTimeSlice())
    if (rules === undefined) return
    this.#rules.set(directory.toString('latin1'), rules)
    this.#last = undefined
  }

  /** Whether an entry, of a directory that was entered, is left out. One character per byte. */
  *ignores(path: string, isDirectory: boolean): Steps<boolean> {
    if (path === GIT || path.endsWith(`/${GIT}`)) return true
    if (this.#rules.size === 0) return false
    for (const { from, rules } of this.#rulesFor(path.slice(0, Math.max(0, path.lastIndexOf('/'))))) {
      const ignored = yield* rules(path.slice(from), isDirectory)
      if (ignored !== undefined) return ignored
      yield
    }
    return false
  }

  /** The deepest first. */
  #rulesFor(directory: string): readonly Applied[] {
    if (this.#last?.directory === directory) return this.#last.rules
    const found: Applied[] = []
    for (let end = directory.length; end > 0; end = directory.lastIndexOf('/', end - 1)) {
      const rules = this.#rules.get(directory.slice(0, end))
      if (rules !== undefined) found.push({ from: end + 1, rules })
    }
    const rules = this.#rules.get('')
    if (rules !== undefined) found.push({ from: 0, rules })
    this.#last = { directory, rules: found }
    return found
  }
}

/** Rules, and where in a path that begins which they are for. */
interface Applied {
  readonly from: number
  readonly rules: IgnoreRules
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
