import { higher, type Measure, secondsOf } from './measure.ts'
import type { Target } from './target.ts'

const MEGABYTES = 300

/** MB/s of payload of one command; what arrives must have at least `least` bytes. */
async function rate(
  megabytes: number,
  least: number,
  run: (onData: (piece: Buffer) => void) => Promise<unknown>,
): Promise<number> {
  let size = 0
  const seconds = await secondsOf(() =>
    run((piece) => {
      size += piece.length
    }),
  )
  if (size < least) throw new Error(`only ${size} of ${least} bytes arrived`)
  return megabytes / seconds
}

const zeros = ['-c', `head -c ${MEGABYTES}000000 /dev/zero`]

export const outputJson: Measure = {
  name: 'output-json',
  async run({ client }: Target) {
    const value = await rate(MEGABYTES, MEGABYTES * 1.33e6, (onData) => client.start('/bin/sh', zeros, onData))
    return [higher('output of one command, JSON stream, MB/s', value, 144)]
  },
}

export const outputBinary: Measure = {
  name: 'output-binary',
  async run({ client }: Target) {
    const value = await rate(MEGABYTES, MEGABYTES * 1e6, (onData) =>
      client.stream('process.Process/Start', binaryStart('/bin/sh', zeros), onData),
    )
    return [higher('output of one command, binary stream, MB/s', value, 437)]
  },
}

const LINES = 3_000_000
/** Of the numbers 1 to 3,000,000, a line each. */
const LINES_MEGABYTES = 22.888896

export const outputLines: Measure = {
  name: 'output-lines',
  async run({ client }: Target) {
    const value = await rate(LINES_MEGABYTES, LINES_MEGABYTES * 1.33e6, (onData) =>
      client.start('/bin/sh', ['-c', `seq 1 ${LINES}`], onData),
    )
    return [higher('output of 3 million short lines, JSON, MB/s', value, 131)]
  },
}

/**
 * A StartRequest by hand: process (1) with cmd (1) and args (2), stdin (4) false. Every part is shorter than 128 bytes.
 */
function binaryStart(cmd: string, args: readonly string[]): Buffer {
  const field = (number: number, bytes: Buffer) => Buffer.concat([Buffer.of((number << 3) | 2, bytes.length), bytes])
  const config = [field(1, Buffer.from(cmd)), ...args.map((arg) => field(2, Buffer.from(arg)))]
  return Buffer.concat([field(1, Buffer.concat(config)), Buffer.of(4 << 3, 0)])
}
