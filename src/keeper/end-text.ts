/** How a daemon has ended, in words, by its status of waitpid(2); negative: it could not be started. */
export function endText(status: number): string {
  if (status < 0) return 'could not be started'
  const signal = status & 0x7f
  return signal === 0 ? `ended with exit code ${(status >> 8) & 0xff}` : `was ended by signal ${signal}`
}
