/** The exit code of a client that was interrupted, as of a shell. */
export const INTERRUPTED = 130

/**
 * Aborts at the first SIGINT or SIGTERM; the second one ends the client at once. `forget` restores the default action.
 */
export function interrupted(): { readonly signal: AbortSignal; forget(): void } {
  const controller = new AbortController()
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(INTERRUPTED)
    controller.abort(new Error('interrupted'))
  }
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const signal of signals) process.on(signal, onSignal)
  return {
    signal: controller.signal,
    forget: () => {
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}
