import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { useDaemon } from './sdk.ts'

useDaemon()

const suite = fileURLToPath(new URL('./python/watch.py', import.meta.url))
const environments = fileURLToPath(new URL('../../.cache/python/', import.meta.url))
const LIMIT_MS = 60_000

test.for(['latest', '1.5'])(
  'C28 C40 C41 the Python SDK, %s, polls events and streams them',
  { timeout: LIMIT_MS + 5_000 },
  async (environment, context) => {
    const python = `${environments}${environment}/bin/python`
    if (!existsSync(python)) context.skip(`no Python SDK ${environment}: see ${environments}${environment}.unavailable`)
    const run = promisify(execFile)(python, [suite], { timeout: LIMIT_MS })
    // Its message says neither the signal nor what was printed.
    const { stdout, stderr } = await run.catch((error: object) => expect.fail(JSON.stringify({ ...error })))
    const results = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line): unknown => JSON.parse(line))
    expect(results, stderr).toEqual([
      { name: 'test_polling', outcome: 'passed', detail: '' },
      { name: 'test_streaming', outcome: 'passed', detail: '' },
    ])
  },
)
