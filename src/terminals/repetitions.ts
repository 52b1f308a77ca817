import type { Terminal } from '@xterm/headless'
import { type Counted, innerOf } from './inner.ts'

/** A character is repeated at most so often, or once through a line. */
const MAX_REPEATED = 1_000

/**
 * Bounds what the emulator does as often as a sequence says, up to 2,147,483,647 times: to scroll, insert or
 * delete more lines than there are, and to go on by more tab stops, changes nothing.
 */
export function limitRepetitions(terminal: Terminal): void {
  const { _inputHandler: handler } = innerOf(terminal)
  const limit = (final: string, most: () => number, run: (params: Counted) => boolean) =>
    terminal.parser.registerCsiHandler({ final }, ([count = 0]) => {
      const least = most()
      return typeof count === 'number' && count > least && run({ params: [least], length: 1 })
    })
  const rows = () => terminal.rows
  const columns = () => terminal.cols
  limit('L', rows, (params) => handler.insertLines(params))
  limit('M', rows, (params) => handler.deleteLines(params))
  limit('S', rows, (params) => handler.scrollUp(params))
  limit('T', rows, (params) => handler.scrollDown(params))
  limit('I', columns, (params) => handler.cursorForwardTab(params))
  limit('Z', columns, (params) => handler.cursorBackwardTab(params))
  limit(
    'b',
    () => Math.max(terminal.cols, MAX_REPEATED),
    (params) => handler.repeatPrecedingCharacter(params),
  )
}
