/** A directory that `watchTree` has put a watch on. */
export interface WatchedDirectory {
  /** Directories between it and where the walk began, itself included; 0 for the first. */
  readonly depth: number
  /** One character per byte; empty for the first. */
  readonly name: string
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
      const depth = packed.readUInt32LE(at)
      const watch = packed.readInt32LE(at + 4)
      at += 8
      yield { depth, watch, name: text().toString('latin1'), names: text() }
    }
  }
  return { directories: directories(), failure: failure === '' ? undefined : failure }
}
