import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Measured } from '../../scripts/bench/init-inside.ts'
import { HOST } from '../_util/micro-vm.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { ON_HOST } from './processors.ts'

const run = promisify(execFile)

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

test('K5 every /init is answered with 204, also amid 1,000 attempts that are given up and repeated', {
  timeout: 120_000,
}, async (context) => {
  needsNamespace(context)
  const [file = '', ...words] = [...ON_HOST, path('../ports/network-of-its-own'), HOST]
  const { stdout } = await run(file, [...words, process.execPath, path('../../scripts/bench/init-inside.ts')])
  const { alone, amid } = JSON.parse(stdout) as Measured
  expect([alone.length, amid.length]).toEqual([500, 500])
})
