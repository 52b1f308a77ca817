/** Uploads that are not finished, over all users: each has a file of its own and a record of some 1 KiB in memory. */
export const MAX_UPLOADS = 1024
/** What one user may have of uploads and of reserved bytes, so that something is left for the others. */
export const USER_SHARE = 0.5
/** Finished ones that are remembered for clients that have missed the answer; the oldest goes first. */
export const MAX_FINISHED = 1024
/** Milliseconds without a byte after which an unfinished upload is removed. */
export const EXPIRES_MS = 24 * 60 * 60 * 1000
/** Milliseconds between two looks at what has expired. */
export const SWEEP_MS = 10 * 60 * 1000
/** Bytes between two points that survive a crash: enough for the disk to work in large pieces, little to send again. */
export const CHECKPOINT_BYTES = 32 * 1024 * 1024
/** Milliseconds without a byte after which a request gives way to another one for the same upload. */
export const SILENT_MS = 1_000
/** `Upload-Metadata` of one upload; it is kept in memory. */
export const MAX_METADATA_BYTES = 4096
/** Uploads that are joined at once; tus-js-client makes as many as it has connections. */
export const MAX_JOINED = 64
/** A record is smaller: paths of at most 4 KiB, metadata within their limits. */
export const MAX_RECORD_BYTES = 64 * 1024
