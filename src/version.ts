/**
 * The compatibility version: clients and orchestrators decide by it which features they may use. It is the
 * reference's version whose wire behaviour this daemon offers, not the version of this package.
 */
export const VERSION = '0.6.13'
