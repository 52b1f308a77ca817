/** What `POST /init` has to do with the number of CPUs (`cpus`). */
export interface CpuSetting {
  /**
   * Makes so many CPUs the target, in the background. Gives why not, in a few words: a number out of range, or a target that cannot be
   * kept for a restart. Takes some 20 ms at most; never rejects.
   */
  request(count: number): Promise<string | undefined>
  /** As `X-Envd-Cpus` tells them (contract N6); from memory. */
  figures(): CpuFigures
}

/** Numbers of CPUs; all 0 outside microVMs. The order of the members is that of the wire. */
export interface CpuFigures {
  readonly online: number
  readonly possible: number
  /** 0: nobody has asked for any number. */
  readonly target: number
}
