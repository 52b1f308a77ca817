import type { Point } from './slope.ts'

const WIDTH = 760
const HEIGHT = 220
/** A curve has a point for each two pixels at most. */
const MOST_POINTS = WIDTH / 2
const MARGIN = { left: 56, right: 12, top: 26, bottom: 26 }

/** A curve of a plot. */
export interface Curve {
  readonly name: string
  readonly colour: string
  readonly points: readonly Point[]
}

/** Curves over time as an SVG in one line; the vertical axis begins at 0. */
export function draw(title: string, curves: readonly Curve[]): string {
  const all = curves.flatMap(({ points }) => points)
  const seconds = Math.max(1, ...all.map((point) => point.seconds))
  const top = Math.max(1, ...all.map((point) => point.value)) * 1.1
  const x = (at: number) => MARGIN.left + (at / seconds) * (WIDTH - MARGIN.left - MARGIN.right)
  const y = (value: number) => HEIGHT - MARGIN.bottom - (value / top) * (HEIGHT - MARGIN.top - MARGIN.bottom)
  const lines = curves.map(({ colour, points }) => {
    const step = Math.ceil(points.length / MOST_POINTS)
    const some = points.filter((_, at) => at % step === 0)
    const path = some.map((point) => `${x(point.seconds).toFixed(1)},${y(point.value).toFixed(1)}`).join(' ')
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${path}"/>`
  })
  const names = curves.map(
    ({ name, colour }, at) => `<text x="${WIDTH - 330 + at * 170}" y="16" fill="${colour}">${name}</text>`,
  )
  const grid = [0, top / 2, top].map(
    (value) =>
      `<path stroke="#ccc" d="M${MARGIN.left} ${y(value).toFixed(1)}H${WIDTH - MARGIN.right}"/>` +
      `<text x="${MARGIN.left - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${Math.round(value)}</text>`,
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${MARGIN.left}" y="16">${title}</text>`,
    ...grid,
    ...names,
    ...lines,
    `<text x="${MARGIN.left}" y="${HEIGHT - 8}">0</text>`,
    `<text x="${WIDTH - MARGIN.right}" y="${HEIGHT - 8}" text-anchor="end">${Math.round(seconds / 60)} min</text>`,
    '</svg>',
  ].join('')
}
