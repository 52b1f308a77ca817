/**
 * Parsers of HTTP/1.1 that Node keeps for the next connections. Its own limit is 1,000, of 10 KB each, which stay for
 * good after a moment with many connections; to make one takes some microseconds.
 */
const KEPT_PARSERS = 64

/** Sets that limit for this process. Node 24 has its list of parsers in a module without a type. */
export function keepFewParsers(): void {
  const common = process.getBuiltinModule('_http_common') as { parsers?: { max: number } } | undefined
  if (common?.parsers !== undefined) common.parsers.max = KEPT_PARSERS
}
