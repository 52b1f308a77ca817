import { createHash } from 'node:crypto'
import { sendWhole } from '../_util/http.ts'
import type { Front } from './front.ts'

/** `POST /init`; a body that is no text is sent as JSON. */
export async function init(front: Pick<Front, 'url'>, body?: unknown, headers: Record<string, string> = {}) {
  const text = body === undefined || typeof body === 'string' ? (body ?? '') : JSON.stringify(body)
  return sendWhole(`${front.url}/init`, { method: 'POST', body: text, headers })
}

/** The variables that every command gets. */
export function envOf(front: Front): Record<string, string> {
  return Object.fromEntries(front.defaults.env.all())
}

/** Nanoseconds since 1970 as RFC 3339. */
export function at(nanoseconds: bigint): string {
  const seconds = new Date(Number(nanoseconds / 1_000_000_000n) * 1000).toISOString().slice(0, 19)
  return `${seconds}.${(nanoseconds % 1_000_000_000n).toString().padStart(9, '0')}Z`
}

/** Nanoseconds since 1970. */
export function now(): bigint {
  return BigInt(Date.now()) * 1_000_000n
}

/** What the host reports about a token: its hash, or that of the empty text for no token. */
export function hashOf(token: string): string {
  return createHash('sha512').update(token).digest('hex')
}
