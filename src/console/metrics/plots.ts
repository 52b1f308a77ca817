import { formatBytes } from '../format.ts'
import { rate, type Series } from './samples.ts'

/** A plot and what its axis says. */
export interface PlotOf {
  readonly id: string
  readonly title: string
  readonly series: readonly Series[]
  readonly format: (value: number) => string
  /** Powers of two look right for bytes. */
  readonly bytes: boolean
  /** The highest value of the axis; undefined: as the values need. */
  readonly max?: number
}

/** All plots, in their order. */
export const PLOTS: readonly PlotOf[] = [
  {
    id: 'cpu',
    title: 'CPU',
    series: [{ label: 'used', colour: '--accent', value: ({ cpuUsedPct }) => cpuUsedPct }],
    format: (value) => `${value === 0 ? 0 : value.toFixed(value < 10 ? 1 : 0)} %`,
    bytes: false,
    max: 100,
  },
  {
    id: 'memory',
    title: 'Memory',
    series: [
      { label: 'used', colour: '--accent', value: ({ memUsed }) => Number(memUsed) },
      { label: 'cache', colour: '--success', value: ({ memCache }) => Number(memCache) },
      { label: 'limit', colour: '--danger', value: ({ memTotal }) => Number(memTotal) },
    ],
    format: formatBytes,
    bytes: true,
  },
  {
    id: 'disk',
    title: 'Disk',
    series: [
      { label: 'used', colour: '--accent', value: ({ diskUsed }) => Number(diskUsed) },
      { label: 'size', colour: '--danger', value: ({ diskTotal }) => Number(diskTotal) },
    ],
    format: formatBytes,
    bytes: true,
  },
  {
    id: 'io',
    title: 'Disk transfers of the machine',
    series: [
      { label: 'read', colour: '--accent', value: rate(({ ioReadBytes }) => Number(ioReadBytes)) },
      { label: 'written', colour: '--success', value: rate(({ ioWrittenBytes }) => Number(ioWrittenBytes)) },
    ],
    format: (value) => `${formatBytes(value)}/s`,
    bytes: true,
  },
  {
    id: 'commands',
    title: 'Commands and processes',
    series: [
      { label: 'commands', colour: '--accent', value: ({ commandCount }) => commandCount },
      { label: 'processes', colour: '--success', value: ({ processCount }) => processCount },
    ],
    format: (value) => `${Math.round(value * 10) / 10}`,
    bytes: false,
  },
]
