import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Sample } from '../../gen/metrics/metrics_pb.js'
import type { Theme } from '../theme.ts'
import type { PlotOf } from './plots.ts'
import { columnsOf, type Mark } from './samples.ts'

const HEIGHT = 180
/** Shown at least, where there are not so many samples yet. */
const MIN_RANGE_S = 60

interface PlotProps {
  readonly plot: PlotOf
  readonly samples: readonly Sample[]
  readonly marks: readonly Mark[]
  /** Seconds that the time axis shows. */
  readonly range: number
  readonly theme: Theme
}

/** A plot on a canvas. What it shows stands in the table below all plots as well. */
export function Plot({ plot, samples, marks, range, theme }: PlotProps) {
  const root = useRef<HTMLDivElement>(null)
  const drawn = useRef<uPlot>(undefined)
  const now = useRef({ marks, range })
  now.current = { marks, range }
  useEffect(() => {
    const { current } = root
    if (current === null) return undefined
    const own = new uPlot(optionsOf(plot, current.clientWidth, now), columnsOf(samples, plot.series), current)
    drawn.current = own
    const observer = new ResizeObserver(() => own.setSize({ width: current.clientWidth, height: HEIGHT }))
    observer.observe(current)
    return () => {
      observer.disconnect()
      own.destroy()
    }
    // Colours are read when it is made; values are set below.
  }, [plot, theme])
  useEffect(() => {
    const { current } = drawn
    if (current === undefined) return
    current.setData(columnsOf(samples, plot.series))
    // Without a pointer the legend says the latest values.
    if ((current.cursor.left ?? -1) < 0) current.setLegend({ idx: current.data[0].length - 1 }, false)
  }, [plot, samples, marks, range, theme])
  return (
    <figure class="plot">
      <figcaption>{plot.title}</figcaption>
      <div ref={root} role="img" aria-label={summaryOf(plot, samples)} />
    </figure>
  )
}

/** The plot in words. */
function summaryOf({ title, series, format }: PlotOf, samples: readonly Sample[]): string {
  const columns = columnsOf(samples, series).slice(1)
  const texts = series.map(({ label }, index) => {
    const values = (columns[index] ?? []).filter((value) => value !== null)
    const last = values.at(-1)
    if (last === undefined) return `${label} not known`
    const [low, high] = [Math.min(...values), Math.max(...values)]
    return `${label} ${format(last)}, between ${format(low)} and ${format(high)}`
  })
  return `${title}: ${texts.join('; ')}`
}

type Now = { readonly current: { readonly marks: readonly Mark[]; readonly range: number } }

function optionsOf({ series, format, max, bytes }: PlotOf, width: number, now: Now): uPlot.Options {
  const text = (_: uPlot, value: number | null) => (value === null ? '–' : format(value))
  const axis = { stroke: colour('--faint'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } }
  const increments = bytes ? { incrs: POWERS_OF_TWO } : {}
  return {
    width,
    height: HEIGHT,
    cursor: { sync: { key: 'metrics' }, drag: { x: false, y: false } },
    scales: {
      x: { range: (_, first, end) => [Math.max(end - now.current.range, Math.min(first, end - MIN_RANGE_S)), end] },
      y: { range: (_, __, high) => [0, (max ?? Math.max(high, 1)) * 1.05] },
    },
    axes: [
      { ...axis, values: '{HH}:{mm}:{ss}', space: 80, size: 32 },
      { ...axis, ...increments, size: 70, values: (_, values) => values.map((value) => format(value)) },
    ],
    series: [
      { value: '{HH}:{mm}:{ss}', label: 'time' },
      ...series.map(({ label, colour: name }) => ({
        label,
        stroke: colour(name),
        width: 1.5,
        value: text,
        points: { show: false },
      })),
    ],
    hooks: { draw: [(plot) => drawMarks(plot, now.current.marks)] },
  }
}

const POWERS_OF_TWO = Array.from({ length: 50 }, (_, exponent) => 2 ** exponent)

function drawMarks({ ctx, bbox, valToPos, scales }: uPlot, marks: readonly Mark[]): void {
  const { min = 0 } = scales['x'] ?? {}
  ctx.save()
  ctx.font = `${11 * devicePixelRatio}px sans-serif`
  ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio])
  for (const { time, kind, text } of marks) {
    if (time < (min ?? 0)) continue
    const x = Math.round(valToPos(time, 'x', true))
    ctx.strokeStyle = colour(kind === 'oom' ? '--danger' : '--warning')
    ctx.fillStyle = ctx.strokeStyle
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
    const left = x + ctx.measureText(text).width + 8 > bbox.left + bbox.width
    ctx.textAlign = left ? 'right' : 'left'
    ctx.fillText(text, x + (left ? -4 : 4), bbox.top + 12 * devicePixelRatio)
  }
  ctx.restore()
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}
