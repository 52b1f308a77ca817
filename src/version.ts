/**
 * The compatibility version: clients and orchestrators decide by it which features they may use. It is the
 * reference's version whose wire behaviour this daemon offers, not the version of this package.
 */
export const VERSION = '0.6.13'

/** Replaced by the bundler with the commit that was built; not there when the sources run as they are. */
declare const ENVD_COMMIT: string | undefined

/** The commit this was built from, for `-commit`. */
export const COMMIT = typeof ENVD_COMMIT === 'string' ? ENVD_COMMIT : 'unknown'
