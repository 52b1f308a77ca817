/** The certificates that the platform wants the sandbox to trust. */
export interface CaBundle {
  /** Rejects as `install` would if the certificates cannot be written (contract F17), so that nothing else is changed either. */
  check(): Promise<void>
  /**
   * Resolves when programs trust the bundle (PEM, any text is taken; contract F17). What it replaces is removed afterwards, in
   * the background. Rejects with AppError `invalid_argument` (`failed to install CA bundle: …`), or `unavailable` if the signal
   * aborts while an earlier installation is at work (contract F18).
   */
  install(pem: string, signal: AbortSignal): Promise<void>
  /** Resolves when nothing is at work in the background. */
  settled(): Promise<void>
}
