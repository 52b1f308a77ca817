import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { lower, type Measure } from './measure.ts'

const CHILD = fileURLToPath(new URL('./spawn-child.ts', import.meta.url))

/** Start to exit of a program by the native addon alone, in processes of 60 and of 600 MB. */
export const spawnLatency: Measure = {
  name: 'spawn',
  async run() {
    const [small, large] = [await median(60), await median(600)]
    return [
      lower('spawn and exit at 60 MB resident p50, ms', small),
      lower('spawn and exit at 600 MB resident p50, ms', large),
      lower('ratio of the two (limit 1.3)', large / small),
    ]
  },
}

async function median(megabytes: number): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, CHILD, String(megabytes)])
  return Number(stdout)
}
