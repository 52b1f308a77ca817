/** What `POST /init` asks of the microVM's metadata service (`platform/mmds`). */
export interface SandboxMetadata {
  /** What the host says now; undefined if the service cannot be reached, whatever is tried (contract F9). Never rejects. */
  lookUp(): Promise<FoundMetadata | undefined>
  /**
   * Makes the sandbox's ids, in variables and files, those of now (contract F21). Takes 20 ms at most: what is not done by then goes on
   * in the background. Never rejects.
   */
  refresh(): Promise<void>
}

/** An answer of the service. */
export interface FoundMetadata {
  /** SHA-512 of the access token in hexadecimal digits, of the empty text if there is to be none; empty: nothing is said. */
  readonly accessTokenHash: string
  /** `refresh` with this answer, asking nobody. */
  adopt(): Promise<void>
}
