/** What one archive may hold (`-archive-max-entries`, `-archive-max-bytes`, `-archive-max-ratio`). */
export interface ArchiveLimits {
  /** Entries; each takes an inode and some 30 µs. */
  readonly entries: number
  /** Bytes of all files, holes included. */
  readonly bytes: number
  /** How many bytes one byte of the request may become, beyond the first 16 MiB. */
  readonly ratio: number
}

/** Below this no ratio is suspicious. */
export const MIN_BOMB_BYTES = 16 * 1024 * 1024

/** Bytes of a path: PATH_MAX less its end (limits.h). */
export const MAX_PATH_BYTES = 4095
/** Components of a path: to remove a tree takes a descriptor for each level. */
export const MAX_DEPTH = 500

/**
 * Far more than projects have, and a tree of 64 GiB; texts and logs reach a ratio of 200 at most, deflate itself 1,032.
 */
export const DEFAULT_ARCHIVE_LIMITS: ArchiveLimits = { entries: 1_000_000, bytes: 64 * 1024 ** 3, ratio: 250 }
