import type { Readable } from 'node:stream'

/** The destination of `pump`. Chunks belong to the sink once written. */
export interface Sink {
  /**
   * Writes one chunk. If it returns a promise, the source is paused until it settles; a rejection ends the transfer.
   */
  write(chunk: Buffer): Promise<void> | undefined
  /** Called after the last chunk; resolves once all bytes are stored. */
  end(): Promise<void>
}

/** Time limit and cancellation of a transfer. */
interface PumpOptions {
  readonly signal?: AbortSignal
  /** Milliseconds without a byte, while the sink waits for one, after which the transfer fails; undefined: for ever. */
  readonly idleMs?: number | undefined
}

/** The source ended before its end: a connection that was cut, a body shorter than announced. */
export class CutShort extends Error {
  constructor(options?: ErrorOptions) {
    super('unexpected EOF', options)
    this.name = 'CutShort'
  }
}

/** No byte came within the time allowed. */
export class Stalled extends Error {
  constructor(milliseconds: number) {
    super(`no data for ${milliseconds / 1000} s`)
    this.name = 'Stalled'
  }
}

/**
 * Moves everything from a source into a sink, with back-pressure. Rejects with CutShort when the source closes before
 * its end or fails, with Stalled, with the signal's reason, or with the sink's error. The source is then left paused
 * and open, so that a request can still be answered; the caller disposes of it.
 */
export async function pump(source: Readable, sink: Sink, { signal, idleMs }: PumpOptions = {}): Promise<void> {
  signal?.throwIfAborted()
  let over = false
  let cleanUp = () => {}
  try {
    await new Promise<void>((resolve, reject) => {
      const flow = idleTimer(idleMs, reject)
      // A source that is empty may end while it is paused.
      let waiting: Promise<void> = Promise.resolve()
      const onData = (chunk: Buffer) => {
        const wait = sink.write(chunk)
        if (wait === undefined) return flow.touch()
        flow.stop()
        source.pause()
        waiting = wait.then(() => {
          if (over) return
          flow.touch()
          source.resume()
        })
        waiting.catch(reject)
      }
      const onEnd = () => {
        flow.stop()
        waiting.then(resolve, reject)
      }
      const onAbort = () => reject(signal?.reason)
      const onError = (error: Error) => reject(new CutShort({ cause: error }))
      const onClose = () => (source.readableEnded ? undefined : reject(new CutShort()))
      cleanUp = () => {
        over = true
        flow.stop()
        source.pause()
        source.off('data', onData).off('end', onEnd).off('close', onClose)
        signal?.removeEventListener('abort', onAbort)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      // The error listener stays: a late error of the source must not end the daemon.
      source.on('error', onError).on('close', onClose).on('end', onEnd)
      if (source.destroyed && !source.readableEnded) return onClose()
      flow.touch()
      // A source that was paused before does not begin by itself.
      source.on('data', onData).resume()
    })
  } finally {
    cleanUp()
  }
  await sink.end()
}

function idleTimer(milliseconds: number | undefined, fail: (error: Stalled) => void) {
  if (milliseconds === undefined) return { touch: () => {}, stop: () => {} }
  let timer: NodeJS.Timeout | undefined
  return {
    touch: () => {
      if (timer !== undefined) timer.refresh()
      else timer = setTimeout(() => fail(new Stalled(milliseconds)), milliseconds)
    },
    stop: () => {
      clearTimeout(timer)
      timer = undefined
    },
  }
}
