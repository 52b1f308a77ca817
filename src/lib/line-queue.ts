/** Lines that wait, oldest first, within a bound on their bytes. Pushing never fails: it drops the oldest instead. */
export interface LineQueue<Line> {
  /** Appends a line, unless it is too long itself; then it is the one that is dropped. */
  push(line: Line): void
  /** Takes the oldest; undefined when there is none. */
  shift(): Line | undefined
  /** Lines that wait. */
  readonly size: number
  /** Their bytes together. */
  readonly bytes: number
  /** Lines dropped since this was last asked. */
  takeDropped(): number
}

/** The space of taken lines is given back once it is this many entries and half of the list. */
const MIN_COMPACTION = 1024

/** What bounds a queue. */
interface LineQueueOptions<Line> {
  /** The same for a line whenever it is asked. */
  readonly bytesOf: (line: Line) => number
  /** Bytes of all lines together. */
  readonly maxBytes: number
  /** Bytes of one line. */
  readonly maxLineBytes: number
}

/** Makes an empty queue. */
export function createLineQueue<Line>({ bytesOf, maxBytes, maxLineBytes }: LineQueueOptions<Line>): LineQueue<Line> {
  let lines: (Line | undefined)[] = []
  let first = 0
  let bytes = 0
  let dropped = 0
  const shift = () => {
    const line = lines[first]
    if (line === undefined) return undefined
    lines[first] = undefined
    first++
    bytes -= bytesOf(line)
    if (first >= MIN_COMPACTION && first * 2 >= lines.length) {
      lines = lines.slice(first)
      first = 0
    }
    return line
  }
  return {
    push(line) {
      const length = bytesOf(line)
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
