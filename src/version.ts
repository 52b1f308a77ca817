/**
 * The compatibility version: clients and orchestrators decide by it which features they may use. It is the
 * reference's version whose wire behaviour this daemon offers, not the version of this package.
 */
export const VERSION = '0.9.1'

/** Put in by the build, absent when the sources run directly. */
declare const ENVD_COMMIT: string | undefined

/** The commit this was built from; empty when the sources run directly. */
export const COMMIT = typeof ENVD_COMMIT === 'string' ? ENVD_COMMIT : ''
