/** A directory that `watchTree` has put a watch on. */
export interface WatchedDirectory {
  /** Path below where the walk began, a slash after each name, one character per byte; empty for the first. */
  readonly path: string
  readonly watch: number
  /** The entries that were there: `d` (directory) or `f` and the name, a NUL after each; one character per byte. */
  readonly names: Buffer
}

/** What `watchTree` has packed. */
export interface WatchedTree {
  /** Parents before their children; to be read once. */
  readonly directories: Iterable<WatchedDirectory>
  /** Errno name of what ended the walk; undefined: all is watched. */
  readonly failure: string | undefined
}

/** Reads what `watchTree` has packed; the names are views into `packed`. */
export function unpackTree(packed: Buffer): WatchedTree {
  let at = 0
  const text = (): Buffer => {
    const length = packed.readUInt32LE(at)
    at += 4 + length
    return packed.subarray(at - length, at)
  }
  const failure = text().toString('latin1')
  const directories = function* (): Generator<WatchedDirectory> {
    while (at < packed.length) {
      const path = text().toString('latin1')
      const watch = packed.readInt32LE(at)
      at += 4
      yield { path, watch, names: text() }
    }
  }
  return { directories: directories(), failure: failure === '' ? undefined : failure }
}
