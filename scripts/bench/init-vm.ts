import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { HOST } from '../../test/_util/micro-vm.ts'
import { ON_HOST } from '../../test/orchestrator/processors.ts'
import type { Measured } from './init-inside.ts'
import { lower, type Measure, quantile } from './measure.ts'

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/**
 * `POST /init` over a connection of its own each, with a metadata service as in a microVM, alone and among attempts
 * that are given up. The daemon's own bound is 5 ms at p99. Takes root.
 */
export const initVm: Measure = {
  name: 'init-vm',
  async run() {
    const network = [path('../../test/ports/network-of-its-own'), HOST]
    const command = [...ON_HOST, ...network, process.execPath, path('init-inside.ts')]
    const { stdout } = await promisify(execFile)('python3', [path('../in-namespace'), ...command])
    const { alone, amid } = JSON.parse(stdout) as Measured
    return [
      lower('POST /init in a microVM p99, ms', quantile(alone, 0.99)),
      lower('POST /init in a microVM amid 1,000 aborted attempts p99, ms', quantile(amid, 0.99)),
    ]
  },
}
