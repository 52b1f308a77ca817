/**
 * The compatibility version: clients and orchestrators decide by it which features they may use. It is the
 * reference's version whose wire behaviour this daemon offers, not the version of this package.
 */
export const VERSION = '0.9.1'

/** Put in by the build, absent when the sources run directly. */
declare const ENVD_COMMIT: string | undefined

/** The commit this was built from; empty when the sources run directly. */
export const COMMIT = typeof ENVD_COMMIT === 'string' ? ENVD_COMMIT : ''

/**
 * The version of all that a daemon leaves to the next one: the state of the sandbox, records, accounts of ends, and the
 * layout of the memory that output lies in. It is raised when a daemon that knows the version before would misread what
 * is left; what that one can leave out is added without. A daemon reads two versions before its own as well, and takes
 * over nothing of a newer one (docs/survival.md).
 */
export const STATE_VERSION = 1

const VERSIONS_BEFORE = 2

/** Whether this daemon understands what is of that version. */
export function isReadable(version: unknown): boolean {
  return typeof version === 'number' && version <= STATE_VERSION && version >= oldest()
}

/** The versions that this daemon understands, oldest first. */
export function readableVersions(): readonly number[] {
  return Array.from({ length: STATE_VERSION - oldest() + 1 }, (_, index) => oldest() + index)
}

function oldest(): number {
  return Math.max(1, STATE_VERSION - VERSIONS_BEFORE)
}
