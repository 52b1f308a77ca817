import { AppError } from '../errors.ts'
import { CutShort } from '../lib/pump.ts'
import { SILENT_MS } from './limits.ts'

/** The right to work on an upload, which one request has at a time. */
export interface Turn extends Disposable {
  /** Aborts when another request takes over. */
  readonly signal: AbortSignal
  /** To be called for each piece that comes. */
  touch(): void
  /** From now on no other request takes over. */
  hold(): void
}

interface Running {
  readonly cancel: AbortController
  readonly ended: Promise<void>
  touched: number
  held: boolean
}

/** Turns by the id of an upload. */
export interface Turns {
  /**
   * Begins a turn. A request that has been silent for `SILENT_MS` is ended before, as its client comes back on another
   * connection then. Rejects with AppError locked while another one is at work.
   */
  take(id: string): Promise<Turn>
  /**
   * Begins a turn that removes the upload: a turn under way is ended, unless it puts the file in its place, which is
   * waited for. Rejects with AppError locked if yet another one has begun meanwhile.
   */
  seize(id: string): Promise<Turn>
}

export function createTurns(): Turns {
  const running = new Map<string, Running>()
  return {
    take: async (id) => {
      const before = running.get(id)
      if (before === undefined) return begin(id, running)
      if (before.held || performance.now() - before.touched < SILENT_MS) throw locked()
      return succeed(id, before, running)
    },
    seize: async (id) => {
      const before = running.get(id)
      return before === undefined ? begin(id, running) : succeed(id, before, running)
    },
  }
}

async function succeed(id: string, before: Running, running: Map<string, Running>): Promise<Turn> {
  if (!before.held) before.cancel.abort(new CutShort())
  await before.ended
  if (running.has(id)) throw locked()
  return begin(id, running)
}

function begin(id: string, running: Map<string, Running>): Turn {
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  const turn: Running = { cancel: new AbortController(), ended, touched: performance.now(), held: false }
  running.set(id, turn)
  return {
    signal: turn.cancel.signal,
    touch: () => {
      turn.touched = performance.now()
    },
    hold: () => {
      turn.held = true
    },
    [Symbol.dispose]: () => {
      running.delete(id)
      resolve()
    },
  }
}

function locked(): AppError {
  return new AppError('locked', 'another request works on this upload')
}
