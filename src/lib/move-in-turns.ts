import type { Readable, Writable } from 'node:stream'
import { loopTurns } from './turns.ts'

/**
 * Moves bytes from one stream to another as fast as both allow, in the turns of the event loop: however many have
 * something to move at once, other work waits for a slice of time only. The end is passed on; a failure is not, and
 * both need a listener for it. When the target closes, the source is left to others, paused unless it has another
 * reader.
 * @param written called with each piece that the target needs no more.
 */
export function moveInTurns(from: Readable, to: Writable, written: (piece: Buffer) => void): void {
  const onData = (chunk: Buffer) => {
    const takesMore = to.write(chunk, () => written(chunk))
    const turn = loopTurns.turn(from)
    if (takesMore && turn === undefined) return
    from.pause()
    const drained = takesMore ? undefined : new Promise((resolve) => to.once('drain', resolve))
    void Promise.all([drained, turn]).then(() => {
      if (!to.closed) from.resume()
    })
  }
  const onEnd = () => void to.end()
  from.on('data', onData).once('end', onEnd)
  to.once('close', () => {
    from.off('data', onData).off('end', onEnd)
    if (from.listenerCount('data') === 0) from.pause()
  })
}
