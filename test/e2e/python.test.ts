import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { inNamespace } from '../_util/namespace.ts'
import { ordinal, useDaemon } from './sdk.ts'

useDaemon()

interface Result {
  readonly name: string
  readonly outcome: 'passed' | 'failed'
  readonly detail: string
}

const suite = fileURLToPath(new URL('./python/suite.py', import.meta.url))
const environments = fileURLToPath(new URL('../../.cache/python/', import.meta.url))
/** The whole suite takes a few seconds; past this it hangs. */
const SUITE_LIMIT_MS = 120_000

describe.each(['latest', '1.5'])('N39 the Python SDK, %s', (environment) => {
  const results = new Map<string, Result>()
  let crash = ''
  const missing = unavailable(environment)

  beforeAll(async () => {
    if (missing !== undefined || !inNamespace) return
    const run = promisify(execFile)(`${environments}${environment}/bin/python`, [suite, ...testsOf(environment)], {
      timeout: SUITE_LIMIT_MS,
    })
    const { stdout, stderr } = await run.catch((error: { stdout: string; stderr: string }) => error)
    crash = stderr
    for (const line of stdout.split('\n').filter((text) => text.startsWith('{'))) {
      // Written by suite.py, one object of this shape per line.
      const result = JSON.parse(line) as Result
      results.set(result.name, result)
    }
  }, SUITE_LIMIT_MS + 5_000)

  test.for(testsOf(environment))('%s', (name, context) => {
    if (missing !== undefined) context.skip(`no Python SDK ${environment}: ${missing}`)
    const result = results.get(name)
    expect(result, crash).toMatchObject({ outcome: 'passed', detail: '' })
  })
})

function unavailable(environment: string): string | undefined {
  if (existsSync(`${environments}${environment}/installed.txt`)) return undefined
  const reason = `${environments}${environment}.unavailable`
  return existsSync(reason) ? readFileSync(reason, 'utf8').trim() : 'scripts/python-environments was not run'
}

/** The tests of the suite for which this release has what they use; older ones lack features, not behaviour. */
function testsOf(environment: string): string[] {
  const requirements = readFileSync(new URL(`./python/requirements-${environment}.txt`, import.meta.url), 'utf8')
  const version = ordinal(/e2b==([\d.]+)/.exec(requirements)?.[1] ?? '')
  const tests = readFileSync(suite, 'utf8').matchAll(/^(?:# since ([\d.]+)\n)?def (test_\w+)/gm)
  return [...tests]
    .filter(([, since]) => since === undefined || ordinal(since) <= version)
    .map(([, , name = '']) => name)
}
