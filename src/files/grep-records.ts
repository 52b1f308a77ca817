import { isUtf8 } from 'node:buffer'
import { MAX_LINE_BYTES } from './limits.ts'
import { wholeCharacters } from './line-reader.ts'
import type { SearchRecord } from './records.ts'

/** A line that `rg --json` has found. */
export interface FoundLine {
  readonly kind: 'match' | 'context'
  /** Path of the file, as ripgrep has it. */
  readonly path: Buffer
  readonly number: number
  readonly offset: number
  /** Without the line feed at its end, and of what is too long the beginning. */
  readonly text: Buffer
  readonly cut: boolean
  /** In `text`, in bytes. */
  readonly matches: readonly { readonly start: number; readonly end: number }[]
}

/** The end of a file with a match. */
interface FoundFile {
  readonly kind: 'file'
  readonly path: Buffer
  readonly lines: number
  readonly binary: boolean
}

/** Bytes of a record: a line in JSON with its matches. Longer ones are cut. */
export const MAX_RECORD_BYTES = 2 * MAX_LINE_BYTES
/** What follows the line in a record; in a text of JSON there is no quote like these. */
export const RECORD_MARKER = Buffer.from('"},"line_number":')
/** Matches of one line that are reported. */
const MAX_LINE_MATCHES = 100

/** What a record of `rg --json` says; undefined: nothing that counts. @param lineBytes of each line that are kept. */
export function parseRecord({ bytes, tail }: SearchRecord, lineBytes: number): FoundLine | FoundFile | undefined {
  if (tail !== undefined) return parseCut(bytes, tail, lineBytes)
  if (bytes.length === 0) return undefined
  // The program's own format.
  const { type, data } = JSON.parse(bytes.toString()) as RipgrepMessage
  if (type === 'end') {
    const { path, stats, binary_offset } = data
    return { kind: 'file', path: bytesOf(path), lines: stats?.matched_lines ?? 0, binary: binary_offset !== null }
  }
  if (type !== 'match' && type !== 'context') return undefined
  const line = cutLine(bytesOf(data.lines), lineBytes)
  const inside = (data.submatches ?? []).filter(({ end }) => end <= line.text.length).slice(0, MAX_LINE_MATCHES)
  return {
    ...{ kind: type, path: bytesOf(data.path), number: data.line_number ?? 0, offset: data.absolute_offset ?? 0 },
    ...line,
    matches: isUtf8(line.text) ? inside.map(({ start, end }) => ({ start, end })) : [],
  }
}

/**
 * Reads the lines of `rg --count --null`: a name, a zero byte, a number. A name may have line feeds, and so be in
 * several records.
 */
export function createCountParser(): (record: SearchRecord) => FoundFile | undefined {
  let begin: Buffer[] = []
  return ({ bytes }) => {
    const zero = bytes.indexOf(0)
    if (zero < 0) {
      begin = begin.length < MAX_NAME_PARTS ? [...begin, bytes, LINE_FEED] : []
      return undefined
    }
    const path = Buffer.concat([...begin, bytes.subarray(0, zero)])
    begin = []
    return { kind: 'file', path, lines: Number(bytes.toString('latin1', zero + 1)), binary: false }
  }
}

const LINE_FEED = Buffer.from('\n')
/** A path has at most 4,096 bytes, each of which may be a line feed. */
const MAX_NAME_PARTS = 8_192

interface RipgrepMessage {
  readonly type: string
  readonly data: {
    readonly path?: RipgrepText
    readonly lines?: RipgrepText
    readonly line_number?: number | null
    readonly absolute_offset?: number
    readonly submatches?: readonly { readonly start: number; readonly end: number }[]
    readonly binary_offset?: number | null
    readonly stats?: { readonly matched_lines: number }
  }
}

interface RipgrepText {
  readonly text?: string
  /** In base64: it is not UTF-8. */
  readonly bytes?: string
}

function bytesOf({ text, bytes }: RipgrepText = {}): Buffer {
  return text === undefined ? Buffer.from(bytes ?? '', 'base64') : Buffer.from(text)
}

function cutLine(line: Buffer, lineBytes: number): Pick<FoundLine, 'text' | 'cut'> {
  const whole = line.at(-1) === 10 ? line.subarray(0, -1) : line
  const cut = whole.length > lineBytes
  return { text: cut ? wholeCharacters(whole.subarray(0, lineBytes)) : whole, cut }
}

/** The order of fields in a record is always the same: type, path, lines, line_number, absolute_offset. */
function parseCut(head: Buffer, tail: Buffer, lineBytes: number): FoundLine | undefined {
  const begin = /^\{"type":"(match|context)","data":\{"path":(\{.*?"\}),"lines":\{"(text|bytes)":"/s
  const parts = begin.exec(head.toString('latin1'))
  const [, number, offset] = /^(\d+),"absolute_offset":(\d+)/.exec(tail.toString('latin1')) ?? []
  if (parts === null || number === undefined) return undefined
  const [start = '', kind, path = '', form] = parts
  // What was read as one character per byte has the same length in bytes.
  const rest = head.subarray(start.length)
  const text = form === 'bytes' ? Buffer.from(rest.toString('latin1'), 'base64') : unescaped(rest)
  return {
    kind: kind === 'match' ? 'match' : 'context',
    path: bytesOf(JSON.parse(Buffer.from(path, 'latin1').toString()) as RipgrepText),
    ...{ number: Number(number), offset: Number(offset) },
    text: wholeCharacters(text.subarray(0, lineBytes)),
    ...{ cut: true, matches: [] },
  }
}

/** The longest escape in a text of JSON, two surrogates. */
const MAX_ESCAPE = 12

/** The text whose JSON begins so; an escape that is cut is left out. */
function unescaped(json: Buffer): Buffer {
  const text = wholeCharacters(json).toString()
  for (let end = text.length; end > 0 && end >= text.length - MAX_ESCAPE; end--) {
    try {
      return Buffer.from(JSON.parse(`"${text.slice(0, end)}"`) as string)
    } catch {}
  }
  return Buffer.alloc(0)
}
