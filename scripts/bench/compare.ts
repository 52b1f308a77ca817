import { quantile, type Row } from './measure.ts'

/** One figure of both daemons: the medians of their rounds, and how many times the other's ours is. */
export interface Comparison {
  readonly measure: string
  readonly own: number | undefined
  readonly other: number | undefined
  readonly ratio: number | undefined
}

/** Puts the rounds of two daemons side by side, in the order of the measures. */
export function compare(own: readonly (readonly Row[])[], other: readonly (readonly Row[])[]): Comparison[] {
  const names = [...new Set([...own, ...other].flat().map(({ measure }) => measure))]
  return names.map((measure) => {
    const [ours, theirs] = [medianOf(own, measure), medianOf(other, measure)]
    const ratio = ours === undefined || theirs === undefined ? undefined : ours / theirs
    return { measure, own: ours, other: theirs, ratio }
  })
}

function medianOf(rounds: readonly (readonly Row[])[], measure: string): number | undefined {
  const values = rounds.flat().flatMap((row) => (row.measure === measure && row.value !== undefined ? [row.value] : []))
  return values.length === 0 ? undefined : quantile(values, 0.5)
}
