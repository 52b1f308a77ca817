/** What `POST /init` asks of the microVM's metadata service (`init/mmds`). */
export interface SandboxMetadata {
  /** Begins to look at what the host says; looks that overlap are one. */
  look(): MetadataLook
}

/** One look. */
export interface MetadataLook {
  /**
   * SHA-512 of the access token in hexadecimal digits, of the empty text if there is to be none. Empty if the host says nothing
   * or cannot be reached, whatever is tried (contract F9). Never rejects.
   */
  readonly tokenHash: Promise<string>
  /**
   * Makes the sandbox's ids, in variables and files, those that were found (contract F21). Takes 20 ms at most: what is not known or
   * written by then follows. Never rejects.
   */
  refresh(): Promise<void>
}
