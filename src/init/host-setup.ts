/** What `POST /init` changes on the host of the daemon (`init/host`). */
export interface HostSetup {
  readonly hyperloop: {
    /** Makes the events service known under this address (contract F16), in the background of `/init`. Never rejects. */
    set(ip: string): Promise<void>
  }
  readonly caBundle: {
    /** Rejects as `install` would where nothing can be installed. */
    check(): Promise<void>
    /** Makes programs trust these certificates (contract F17, F18). */
    install(pem: string, signal: AbortSignal): Promise<void>
  }
  readonly volumes: {
    /** Throws as `mount` would for what is wrong with the request itself. */
    check(mounts: readonly VolumeMount[]): void
    /** Mounts what is not mounted for this lifecycle yet (contract F19). */
    mount(mounts: readonly VolumeMount[], lifecycleId: string): Promise<void>
  }
}

/** A directory of an NFS server, as `server:/directory`, and the path where it is to be seen. */
export interface VolumeMount {
  readonly nfsTarget: string
  readonly path: string
}
