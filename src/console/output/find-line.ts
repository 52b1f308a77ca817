import { plainText } from './ansi.ts'
import type { Lines } from './lines.ts'

/** Words of failures, as compilers, test runners, interpreters and shells write them. */
const FAILURE =
  /\b(errors?|errno|fail(ed|ures?)?|fatal|panic(ked)?|exception|traceback|segmentation fault|not found|denied)\b|✗|✖/i

/** Names of errors: those of errno, and of classes. */
const ERROR_NAME = /\b(E[A-Z]{4,}\d*|[A-Z]\w*(Error|Exception))\b/

/** Lines that say nothing of a failure, though they contain its word. */
const NONE = /\b(0|no) (errors?|fail(ed|ures?))\b/i

/** Whether a line looks like that of a failure. */
export function isFailure(text: string): boolean {
  return (FAILURE.test(text) || ERROR_NAME.test(text)) && !NONE.test(text)
}

/** Whether a line contains the text, whatever the case. @param text not empty. */
export function containing(text: string): (line: string) => boolean {
  const wanted = text.toLowerCase()
  return (line) => line.toLowerCase().includes(wanted)
}

/**
 * The number of the next line that fulfils the test, from behind `from` on or, backwards, before it; around the end to
 * the other one. Undefined: there is none.
 */
export function findLine(
  lines: Lines,
  test: (text: string) => boolean,
  { from, backwards = false }: { readonly from: number; readonly backwards?: boolean },
): number | undefined {
  const count = lines.end - lines.start
  const step = backwards ? -1 : 1
  const begin = Math.min(Math.max(from, lines.start - 1), lines.end) - lines.start
  for (let i = 1; i <= count; i++) {
    const number = lines.start + ((((begin + i * step) % count) + count) % count)
    const line = lines.at(number)
    if (line !== undefined && line.kind !== 'note' && test(plainText(line.text))) return number
  }
  return undefined
}
