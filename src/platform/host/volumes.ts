/** A directory of an NFS server and where it is to be seen. */
export interface VolumeMount {
  /** `server:/directory` */
  readonly nfsTarget: string
  /** Absolute. */
  readonly path: string
}

/** The network volumes of the sandbox. */
export interface Volumes {
  /** Throws as `mount` would for what is wrong with the request itself (contract F19): nothing was touched then. */
  check(mounts: readonly VolumeMount[]): void
  /**
   * Mounts all volumes that were not mounted for this lifecycle yet, together in at most 10 s, whatever becomes of the client.
   * Rejects with AppError `invalid_argument` (`failed to setup NFS volumes: …`); those that could be mounted stay.
   */
  mount(mounts: readonly VolumeMount[], lifecycleId: string): Promise<void>
}
