import type { FastifyReply } from 'fastify'
import type { Sandbox } from './sandbox.ts'

/** Parameters of a list, as they came. */
export type Query = Readonly<Record<string, string | undefined>>

/** What one answer holds, unless the client says how much it takes. */
const PAGE = 100

/**
 * The sandboxes that a client asks for: by state, metadata, template and start, the newest first or, if it says so, the
 * oldest.
 */
export function wanted(newestFirst: readonly Sandbox[], query: Query): Sandbox[] {
  const states = query['state']?.split(',') ?? ['running', 'paused']
  const metadata = [...new URLSearchParams(query['metadata'] ?? '')]
  const { template, startedAfter } = query
  const after = startedAfter === undefined ? Number.NEGATIVE_INFINITY : Date.parse(startedAfter)
  const found = newestFirst.filter(
    ({ state, request, startedAt }) =>
      states.includes(state) &&
      (template === undefined || request.templateID === template) &&
      startedAt.getTime() > after &&
      metadata.every(([name, value]) => request.metadata[decoded(name)] === decoded(value)),
  )
  return query['order'] === 'asc' ? found.reverse() : found
}

/** One page, with a header that leads to the next. */
export function page<T>(all: readonly T[], query: Query, reply: FastifyReply): T[] {
  const from = Number(query['nextToken'] ?? 0)
  const to = from + Number(query['limit'] ?? PAGE)
  if (to < all.length) reply.header('x-next-token', String(to))
  return all.slice(from, to)
}

/** SDKs encode names and values twice. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
