/** Halts the event loop of this process for so many milliseconds, which take nothing of the processor. */
export function halt(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}
