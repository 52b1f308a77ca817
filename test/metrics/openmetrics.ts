/** One metric of an OpenMetrics text. */
export interface Family {
  readonly type: string
  readonly help: string
  readonly samples: readonly Point[]
}

export interface Point {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABELS = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"/g
const LINE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (-?(?:\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?|Inf)|\\+Inf|NaN)$`)
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  gauge: [''],
  counter: ['_total'],
  histogram: ['_bucket', '_sum', '_count'],
}

/**
 * Reads an OpenMetrics text by the rules of OpenMetrics 1.0 for the parts of it that are used here: throws for a line
 * that is none, a sample outside its family or with a wrong suffix, a repeated one, and for a missing end.
 */
export function parseOpenMetrics(text: string): Map<string, Family> {
  const lines = text.split('\n')
  if (lines.pop() !== '' || lines.pop() !== '# EOF') throw new Error('the text does not end in # EOF')
  const families = new Map<string, { type: string; help: string; samples: Point[] }>()
  const seen = new Set<string>()
  let current = ''
  for (const line of lines) {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (keyword === 'HELP') {
      if (families.has(name)) throw new Error(`${name} comes twice`)
      families.set(name, { type: '', help: rest, samples: [] })
      current = name
    } else if (keyword === 'TYPE') {
      const family = families.get(name)
      if (family === undefined || name !== current || family.type !== '') throw new Error(`TYPE out of place: ${line}`)
      family.type = rest
    } else {
      const point = parsePoint(line)
      const family = families.get(current)
      const suffixes = SUFFIXES[family?.type ?? ''] ?? []
      if (!suffixes.some((suffix) => point.name === current + suffix)) throw new Error(`not of ${current}: ${line}`)
      const identity = line.slice(0, line.lastIndexOf(' '))
      if (seen.has(identity)) throw new Error(`twice: ${identity}`)
      seen.add(identity)
      family?.samples.push(point)
    }
  }
  return families
}

function parsePoint(line: string): Point {
  const [, name, labels = '', number] = LINE.exec(line) ?? []
  if (name === undefined || number === undefined) throw new Error(`no sample: ${line}`)
  const pairs = [...labels.matchAll(LABELS)]
  if (pairs.map(([pair]) => pair).join(',') !== labels) throw new Error(`no labels: ${line}`)
  const entries = pairs.map(([, key = '', value = '']) => [
    key,
    value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c)),
  ])
  return { name, labels: Object.fromEntries(entries), value: Number(number.replace('Inf', 'Infinity')) }
}
