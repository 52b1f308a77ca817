/** An element of an `Accept` or `Accept-Encoding`. */
export interface Weighted {
  /** In small letters, without its parameters. */
  readonly name: string
  /** Quality from 0 (not acceptable) to 1; one that is no such number counts as 1. */
  readonly q: number
}

/** Characters of a list that are looked at: many times what clients send. A header may have 128 KiB of them. */
const MAX_LENGTH = 4096

/** The elements of a list with weights (RFC 9110 12.4.2), in its order; none for an absent header. */
export function parseWeightedList(header: string | undefined): Weighted[] {
  return (header ?? '')
    .slice(0, MAX_LENGTH)
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const [name = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase())
      return { name, q: qualityOf(parameters) }
    })
}

/** Whether the list has that name, in small letters, with a weight above 0; `*` counts for nothing. */
export function accepts(header: string | undefined, name: string): boolean {
  return parseWeightedList(header).some((element) => element.name === name && element.q > 0)
}

function qualityOf(parameters: readonly string[]): number {
  const text = parameters.find((parameter) => /^q\s*=/.test(parameter))?.replace(/^q\s*=\s*/, '')
  return text !== undefined && /^(0(\.\d*)?|1(\.0*)?|\.\d+)$/.test(text) ? Number(text) : 1
}
