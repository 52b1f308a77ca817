import type { LogLine } from '../log.ts'
import { isAnswer } from './post-line.ts'

/** The line that is on its way to the collector, and whether it was so when the machine was resumed. */
interface UnderWay {
  begin(line: LogLine): void
  /** It is no more. Whether a resume may be why the collector does not have it. */
  end(problem: string | undefined): boolean
  /** The machine may have been paused. Calls `giveUp` if the line is still on its way after a moment. */
  resumed(giveUp: () => void): void
}

/** @param graceMs for the answer, after a resume. */
export function createUnderWay(graceMs: number): UnderWay {
  let current: LogLine | undefined
  let atResume: LogLine | undefined
  return {
    begin: (line) => {
      current = line
    },
    end: (problem) => {
      const wasResumed = atResume !== undefined
      current = atResume = undefined
      return wasResumed && !isAnswer(problem)
    },
    resumed: (giveUp) => {
      if (current === undefined || atResume !== undefined) return
      const line = current
      atResume = line
      setTimeout(() => atResume === line && giveUp(), graceMs).unref()
    },
  }
}
