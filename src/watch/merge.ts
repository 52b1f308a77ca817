import { constants } from 'node:fs'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { isKind } from '../filesystem/entry.ts'
import { EventType } from '../gen/filesystem/filesystem_pb.js'
import { type FileStatus, statPath } from '../native/file-calls.ts'
import { type Change, isGone } from './change.ts'

/** Changes that wait for a look at their file; past it the watcher ends. As many as a client's buffer takes. */
const MAX_WAITING = 65_536

/** A file with what is known of it, here and where it is looked at every 2 seconds, beside its name. */
const FILE_BYTES = 4_096

interface MergeOptions {
  /** The watched directory, absolute. */
  readonly path: string
  /** Takes the memory of all files; released by `close`. */
  readonly hold: Hold
  readonly onChange: (change: Change) => void
  readonly onEnd: (error: AppError) => void
  /** Resolves when every change that the kernel knows of was given to `local`. */
  readonly settled: () => Promise<void>
  /** A directory is there that the kernel did not report; true if its contents will be passed to `local`. */
  readonly onDirectory: (name: string) => Promise<boolean>
}

/**
 * Makes one sequence of changes out of two sources: what the kernel reports for this machine, and files that may have
 * been changed by another machine. It remembers the state of each file at its last event, so that no change is emitted
 * twice. Names are relative.
 */
export class Merge {
  readonly #options: MergeOptions
  /** State of each file at its last event. */
  readonly #known = new Map<string, string>()
  /** Names that are known, by the name of their directory. */
  readonly #children = new Map<string, Set<string>>()
  /** Names that the kernel has reported while looks were under way, and when. */
  readonly #touched = new Map<string, number>()
  #clock = 0
  #looks = 0
  #waiting = 0
  #last: Promise<void> = Promise.resolve()
  #over = false

  constructor(options: MergeOptions) {
    this.#options = options
  }

  /**
   * A change that the kernel has reported. It is reported after a look at the file, so that a later change is not taken
   * for this one.
   */
  local(change: Change): void {
    void this.#enqueue(async () => {
      const { name, type } = change
      if (isGone(type)) this.#forget(name)
      else this.#remember(name, await this.#look(name))
      if (this.#looks > 0) this.#touch(name)
      this.#emit(change)
    })
  }

  /** One look may hang while names come and go. */
  #touch(name: string): void {
    this.#touched.set(name, ++this.#clock)
    if (this.#touched.size > MAX_WAITING) this.#end(tooMuch(this.#options.path))
  }

  /** Records a file that exists before anything is reported. */
  async begin(name: string): Promise<void> {
    this.#remember(name, await this.#look(name))
  }

  /** Something may have happened to a file. Resolves when what did was reported. */
  async notice(name: string): Promise<void> {
    const began = ++this.#clock
    this.#looks++
    try {
      const seen = await this.#look(name)
      // What this machine did until the look is reported first.
      await this.#options.settled()
      await this.#enqueue(async () => {
        if ((this.#touched.get(name) ?? 0) < began) await this.#compare(name, seen)
      })
    } finally {
      this.#looks--
      if (this.#looks === 0) this.#touched.clear()
    }
  }

  /** Resolves when everything that came until this call was reported. */
  settled(): Promise<void> {
    return this.#last
  }

  /** It emits nothing more. */
  get isOver(): boolean {
    return this.#over
  }

  /** Emits nothing more. */
  close(): void {
    this.#over = true
    this.#options.hold.release()
  }

  async #compare(name: string, seen: string | undefined): Promise<void> {
    const known = this.#known.get(name)
    if (seen === known) return
    if (name === '') return this.#removed()
    if (seen === undefined) {
      for (const gone of this.#forget(name)) this.#emit({ name: gone, type: EventType.REMOVE })
    } else if (known !== undefined && (seen === DIRECTORY) === (known === DIRECTORY)) {
      this.#remember(name, seen)
      this.#emit({ name, type: EventType.WRITE })
    } else if ((await this.#look(name)) !== undefined) await this.#appeared(name, seen)
  }

  async #appeared(name: string, seen: string): Promise<void> {
    if (seen === DIRECTORY && (await this.#options.onDirectory(name))) return
    this.#remember(name, seen)
    this.#emit({ name, type: EventType.CREATE })
  }

  #removed(): void {
    this.#emit({ name: '.', type: EventType.REMOVE })
    this.#end(new AppError('not_found', `the watched directory ${this.#options.path} was removed`))
  }

  #end(error: AppError): void {
    if (this.#over) return
    this.#over = true
    this.#options.onEnd(error)
  }

  #emit(change: Change): void {
    if (!this.#over) this.#options.onChange(change)
  }

  #remember(name: string, seen: string | undefined): void {
    if (seen === undefined || this.#over) return
    if (!this.#known.has(name)) {
      if (!this.#options.hold.tryGrow(FILE_BYTES + name.length)) {
        this.#end(tooMuch(this.#options.path))
        return
      }
      const siblings = this.#children.get(directoryOf(name))
      if (name === '') this.#children.set('', siblings ?? new Set())
      else if (siblings === undefined) this.#children.set(directoryOf(name), new Set([name]))
      else siblings.add(name)
    }
    this.#known.set(name, seen)
  }

  /** A name, and all below it if it was a directory; returns what was forgotten, the deepest first. */
  #forget(name: string): string[] {
    const forgotten = this.#known.get(name) === DIRECTORY ? this.#below(name) : []
    forgotten.push(name)
    for (const each of forgotten) {
      if (!this.#known.delete(each)) continue
      this.#options.hold.shrink(FILE_BYTES + each.length)
      const siblings = this.#children.get(directoryOf(each))
      siblings?.delete(each)
      if (siblings?.size === 0) this.#children.delete(directoryOf(each))
    }
    return forgotten
  }

  #below(name: string): string[] {
    const found: string[] = []
    const directories = [name]
    for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
      for (const child of this.#children.get(directory) ?? []) {
        found.push(child)
        if (this.#known.get(child) === DIRECTORY) directories.push(child)
      }
    }
    return found.sort().reverse()
  }

  async #look(name: string): Promise<string | undefined> {
    return statPath(Buffer.from(`${this.#options.path}/${name}`)).then(signature, () => undefined)
  }

  #enqueue(job: () => Promise<void>): Promise<void> {
    if (this.#over) return this.#last
    if (this.#waiting >= MAX_WAITING) {
      this.#over = true
      this.#options.onEnd(
        new AppError('resource_exhausted', `more than ${MAX_WAITING} changes of a network mount wait`),
      )
    }
    this.#waiting++
    this.#last = this.#last.then(job).finally(() => {
      this.#waiting--
    })
    return this.#last
  }
}

/** State of every directory: its times change with its entries, which have events of their own. */
const DIRECTORY = 'directory'

function directoryOf(name: string): string {
  return name.slice(0, Math.max(name.lastIndexOf('/'), 0))
}

function tooMuch(path: string): AppError {
  return new AppError('resource_exhausted', `the memory for watching is spent: there are too many files in ${path}`)
}

function signature({ mode, ino, size, mtimeNs }: FileStatus): string {
  return isKind(mode, constants.S_IFDIR) ? DIRECTORY : `${ino} ${size} ${mtimeNs}`
}
