import { constants } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { errnoOf } from '../errors.ts'
import { isKind } from '../filesystem/entry.ts'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { inSlices, type Steps } from '../lib/steps.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { type FileStatus, statPath } from '../native/file-calls.ts'
import { readNames } from '../native/files.ts'

/** What is looked at for changes that the kernel does not report. */
interface PollOptions {
  /** Absolute, without a slash at its end. */
  readonly path: string
  readonly recursive: boolean
  /** What is not looked at; the path is relative to the watched one, one character per byte. */
  readonly exclude: ((path: string, isDirectory: boolean) => Steps<boolean>) | undefined
  /** Milliseconds between two looks at everything. */
  readonly interval: number
  /**
   * Called with a path relative to the watched one (empty for itself) for everything that is there when polling begins,
   * and afterwards for what may have appeared, changed or gone. The next one is called when two are under way no more.
   */
  readonly onNotice: (path: string) => Promise<void>
  /** Nothing more is wanted: there are too many files. */
  readonly isOver: () => boolean
}

/**
 * Looks at a time. Each hangs as long as the server of the mount does not answer, and other file work goes on only
 * while there are not too many of those (`src/native/job.cc`).
 */
const AT_ONCE = 2

/** Room for the names of a directory: some thousand at first, four times as much as long as they do not fit. */
const FIRST_NAMES_BYTES = 64 * 1024
const NAMES_GROWTH = 4
const MAX_NAMES_BYTES = 16 * 1024 * 1024

/** The state of every directory: its times change with its entries. */
const DIRECTORY = 'directory'

const ABSENT: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR'])

/**
 * Looks at every file again and again (contract C26): the only way to see what other machines do. Resolves when all is
 * known.
 */
export async function pollTree(options: PollOptions): Promise<{ close(): void }> {
  const over = new AbortController()
  const { signal } = over
  const poll = new Poll(options, signal)
  await poll.lookAtAll()
  const goOn = async () => {
    while (!signal.aborted) {
      await setTimeout(options.interval, undefined, { signal, ref: false }).catch(() => {})
      await poll.lookAtAll()
    }
  }
  void goOn()
  return { close: () => over.abort() }
}

class Poll {
  readonly #options: PollOptions
  readonly #signal: AbortSignal
  /** State of each name in the last round, and in this one. */
  #before = new Map<string, string>()
  #now = new Map<string, string>()

  constructor(options: PollOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
  }

  /** One round. Never rejects. */
  async lookAtAll(): Promise<void> {
    const directories: string[] = []
    await this.#look('', directories)
    // It grows meanwhile.
    for (const name of directories)
      await forEachLimited(await this.#namesIn(name), AT_ONCE, (below) => this.#look(below, directories))
    if (this.#isOver) return
    for (const name of this.#before.keys()) if (!this.#now.has(name)) await this.#options.onNotice(name)
    this.#before = this.#now
    this.#now = new Map()
  }

  get #isOver(): boolean {
    return this.#signal.aborted || this.#options.isOver()
  }

  /** @param directories grows by the name of one whose entries are wanted. */
  async #look(name: string, directories: string[]): Promise<void> {
    if (this.#isOver) return
    const { exclude, onNotice, recursive } = this.#options
    const known = this.#before.get(name)
    const state = await this.#stateOf(name, known)
    if (state === undefined || this.#isOver) return
    const isDirectory = state === DIRECTORY
    const steps = name === '' ? undefined : exclude?.(Buffer.from(name).toString('latin1'), isDirectory)
    if (steps !== undefined && (await inSlices(steps, createTimeSlice()))) return
    this.#now.set(name, state)
    if (state !== known) await onNotice(name)
    if (isDirectory && (recursive || name === '')) directories.push(name)
  }

  /** A file that cannot be looked at is looked at again in the next round; undefined: it is not there. */
  async #stateOf(name: string, known: string | undefined): Promise<string | undefined> {
    return statPath(this.#pathOf(name)).then(stateOf, (error: unknown) =>
      ABSENT.has(errnoOf(error)) ? undefined : known,
    )
  }

  async #namesIn(directory: string): Promise<string[]> {
    if (this.#isOver) return []
    const prefix = directory === '' ? '' : `${directory}/`
    try {
      return (await namesIn(this.#pathOf(directory))).map((name) => prefix + name)
    } catch (error) {
      // Those that cannot be seen are as they were.
      return ABSENT.has(errnoOf(error)) ? [] : [...this.#before.keys()].filter((name) => isIn(name, prefix))
    }
  }

  #pathOf(name: string): Buffer {
    return Buffer.from(name === '' ? this.#options.path : `${this.#options.path}/${name}`)
  }
}

function stateOf({ mode, ino, size, mtimeNs }: FileStatus): string {
  return isKind(mode, constants.S_IFDIR) ? DIRECTORY : `${ino} ${size} ${mtimeNs}`
}

function isIn(name: string, prefix: string): boolean {
  return name !== '' && name.startsWith(prefix) && !name.includes('/', prefix.length)
}

async function namesIn(path: Buffer): Promise<string[]> {
  for (let room = FIRST_NAMES_BYTES; ; room *= NAMES_GROWTH) {
    try {
      return unpackNames(await readNames(path, room))
    } catch (error) {
      if (errnoOf(error) !== 'EOVERFLOW' || room >= MAX_NAMES_BYTES) throw error
    }
  }
}

function unpackNames(packed: Buffer): string[] {
  const names: string[] = []
  for (let at = 0; at < packed.length; ) {
    const end = at + 4 + packed.readUInt32LE(at)
    names.push(packed.toString('utf8', at + 4, end))
    at = end
  }
  return names
}
