import { AppError } from '../../errors.ts'
import { parseWeightedList, type Weighted } from '../../lib/weighted-list.ts'
import { COMPRESSIONS, type Compression, isCompression } from './compressors.ts'

/** How a body may travel. */
type Encoding = 'identity' | Compression

/** What the choice depends on besides the header. */
interface EncodingOptions {
  /** The request has a range or a condition, which only the bytes as they are can meet. */
  readonly identityOnly: boolean
}

/**
 * Chooses by `Accept-Encoding` (contract B21, B22; RFC 9110 12.5.3): the highest q first, ties in the order given.
 * Throws AppError not_acceptable.
 */
export function chooseEncoding(header: string | undefined, { identityOnly }: EncodingOptions): Encoding {
  const given = parseWeightedList(header)
  const rejected = identityRejected(given)
  if (identityOnly) {
    if (!rejected) return 'identity'
    throw new AppError(
      'not_acceptable',
      'error parsing Accept-Encoding: identity encoding not acceptable for Range or conditional request',
    )
  }
  for (const { name, q } of given.toSorted((a, b) => b.q - a.q)) {
    if (q === 0) continue
    if (name === 'identity' || isCompression(name)) return name
    if (name === '*') return rejected ? 'gzip' : 'identity'
  }
  if (!rejected) return 'identity'
  throw new AppError(
    'not_acceptable',
    `error parsing Accept-Encoding: no acceptable encoding found, supported: [${COMPRESSIONS.join(' ')}]`,
  )
}

/** Whether a client for whom `chooseEncoding` chose a compression takes the bytes as they are, too. */
export function acceptsIdentity(header: string | undefined): boolean {
  return !identityRejected(parseWeightedList(header))
}

function identityRejected(offers: readonly Weighted[]): boolean {
  const identity = offers.find((offer) => offer.name === 'identity')
  if (identity !== undefined) return identity.q === 0
  return offers.some((offer) => offer.name === '*' && offer.q === 0)
}
