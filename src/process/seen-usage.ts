/** What a command takes while it runs; undefined: it is not known. */
export interface LiveFigures {
  /** User and system time. */
  readonly cpuSeconds: number | undefined
  /** Bytes now. */
  readonly memory: number | undefined
  /** Bytes at most at a time. */
  readonly peakMemory: number | undefined
}

/**
 * The usage of a command as observed while it runs, which its end reports as well. All figures but the current memory
 * only grow.
 */
export class SeenUsage {
  #figures: LiveFigures = { cpuSeconds: undefined, memory: undefined, peakMemory: undefined }

  /** The figures as they were seen last. */
  get figures(): LiveFigures {
    return this.#figures
  }

  /** Takes in a look at it. */
  see({ cpuSeconds, memory, peakMemory }: LiveFigures): void {
    const peak = larger(peakMemory, memory)
    this.#figures = { ...this.larger({ cpuSeconds, peakMemory: peak }), memory }
  }

  /** These figures, or what was seen where that is more. */
  larger<T extends Omit<LiveFigures, 'memory'>>(figures: T): T {
    const { cpuSeconds, peakMemory } = this.#figures
    return {
      ...figures,
      cpuSeconds: larger(cpuSeconds, figures.cpuSeconds),
      peakMemory: larger(peakMemory, figures.peakMemory),
    }
  }
}

function larger(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || (other !== undefined && other > one) ? other : one
}
