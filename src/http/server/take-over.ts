import type { FastifyReply } from 'fastify'

/**
 * Takes the response from Fastify, with the status and headers that the reply has so far; the caller writes and ends
 * it.
 */
export function takeOver(reply: FastifyReply): FastifyReply['raw'] {
  const { raw } = reply
  raw.statusCode = reply.statusCode
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value)
  // From here on fastify sends no answer: what can fail comes before.
  reply.hijack()
  return raw
}
