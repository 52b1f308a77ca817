const ESC = 0x1b
const CSI = 0x5b
/** The lead byte of C1 controls in UTF-8, and the last byte after it that makes one. */
const C1_LEAD = 0xc2
const C1_LAST = 0x9f

/**
 * Final bytes of control sequences that move the cursor, set colors or clear one line: the output of programs is full
 * of them.
 */
const CHEAP: ReadonlySet<number> = new Set(Buffer.from('ABCDEFGHKdfmnqrsu'))

/**
 * How many bytes from `at` on are to be drawn at once: at most `most`, and at most one sequence that may go through the
 * whole screen, such as RIS, ED or IL. Each takes some milliseconds on a large screen, however short it is.
 */
export function pieceLength(bytes: Uint8Array, at: number, most: number): number {
  const end = Math.min(bytes.length, at + most)
  let costly = 0
  for (let index = at; index < end; index++) {
    if (!isCostly(bytes, index, end)) continue
    if (++costly > 1) return index - at
  }
  return end - at
}

/** Whether a sequence begins there that is not known to be cheap. */
function isCostly(bytes: Uint8Array, index: number, end: number): boolean {
  const byte = bytes[index]
  const next = bytes[index + 1] ?? 0
  if (byte === C1_LEAD) return next <= C1_LAST
  if (byte !== ESC) return false
  return next !== CSI || !CHEAP.has(finalByte(bytes, index + 2, end))
}

/** What ends a control sequence whose parameters begin there; 0: it does not end before `end`. */
function finalByte(bytes: Uint8Array, from: number, end: number): number {
  for (let index = from; index < end; index++) {
    const byte = bytes[index] ?? 0
    if (byte === ESC || byte >= 0x40) return byte
  }
  return 0
}
