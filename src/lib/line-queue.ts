/** Lines that wait, oldest first, within a bound on their bytes. Pushing never fails: it drops the oldest instead. */
export interface LineQueue {
  /** Appends a line, unless it is too long itself; then it is the one that is dropped. */
  push(line: string): void
  /** Takes the oldest; undefined when there is none. */
  shift(): string | undefined
  /** Lines that wait. */
  readonly size: number
  /** Their UTF-8 bytes. */
  readonly bytes: number
  /** Lines dropped since this was last asked. */
  takeDropped(): number
}

/** The space of taken lines is given back once it is this many entries and half of the list. */
const MIN_COMPACTION = 1024

/** Bytes are those of UTF-8. */
export interface LineQueueOptions {
  /** Of all lines together. */
  readonly maxBytes: number
  /** Of one line. */
  readonly maxLineBytes: number
}

/** Makes an empty queue. */
export function createLineQueue({ maxBytes, maxLineBytes }: LineQueueOptions): LineQueue {
  let lines: string[] = []
  let first = 0
  let bytes = 0
  let dropped = 0
  const shift = () => {
    const line = lines[first]
    if (line === undefined) return undefined
    lines[first] = ''
    first++
    bytes -= Buffer.byteLength(line)
    if (first >= MIN_COMPACTION && first * 2 >= lines.length) {
      lines = lines.slice(first)
      first = 0
    }
    return line
  }
  return {
    push(line) {
      const length = Buffer.byteLength(line)
      if (length > maxLineBytes) {
        dropped++
        return
      }
      lines.push(line)
      bytes += length
      while (bytes > maxBytes) {
        shift()
        dropped++
      }
    },
    shift,
    get size() {
      return lines.length - first
    },
    get bytes() {
      return bytes
    },
    takeDropped() {
      const count = dropped
      dropped = 0
      return count
    },
  }
}
