import { relative } from 'node:path'
import type { Reporter, TestCase, TestModule, TestRunEndReason, Vitest } from 'vitest/node'

/** A process that a test left behind may hold the runner's pipes open, and then the runner never ends by itself. */
const LEFTOVER_LIMIT_MS = 20_000

/**
 * Counts the tests of the whole run, prints why some were skipped and a line `failed: FILE > TITLE: MESSAGE` for each
 * that failed, behind the error in full where the failure of a disposal hides it, and closes with `N passed, N failed`.
 * `.ci/run` repeats the lines that begin with `failed: `. With ENVD_TEST_RESULTS=1 each test has a line `result: {…}`,
 * which `scripts/write-promises.ts` reads.
 */
export default class ClosingLine implements Reporter {
  #watching = false

  onInit(vitest: Vitest): void {
    this.#watching = vitest.config.watch
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const count = (state: string) => tests.filter((test) => test.result().state === state).length
    const passed = count('passed')
    const brokenModules = modules.filter((module) => module.errors().length > 0).length
    const interrupted = count('pending')
    const failed = count('failed') + brokenModules + errors.length + interrupted
    const skipped = tests.filter((test) => test.result().state === 'skipped')
    for (const line of skipReasons(skipped)) console.log(line)
    if (process.env['ENVD_TEST_RESULTS'] === '1') for (const test of tests) console.log(resultLine(test))
    for (const line of [
      ...failures(modules),
      ...errors.map((error) => `failed: outside of tests: ${messageOf(error)}`),
    ])
      console.log(line)
    if (errors.length > 0) console.log(`${errors.length} unhandled errors outside of tests`)
    if (reason === 'interrupted') console.log('the run was interrupted')
    console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
    if (!this.#watching) setTimeout(endAnyway, LEFTOVER_LIMIT_MS).unref()
    if (passed === 0 || failed > 0 || reason === 'interrupted') process.exitCode = 1
  }
}

function resultLine(test: TestCase): string {
  const file = relative('.', test.module.moduleId)
  const ms = Math.round(test.diagnostic()?.duration ?? 0)
  return `result: ${JSON.stringify({ file, title: test.name, state: test.result().state, ms })}`
}

function endAnyway(): void {
  console.error('a process that a test left behind keeps the run from ending')
  process.exit(1)
}

function failures(modules: readonly TestModule[]): string[] {
  return modules.flatMap((module) => {
    const file = relative('.', module.moduleId)
    const own = module.errors().map((error) => `failed: ${file}: ${messageOf(error)}`)
    const tests = [...module.children.allTests()].flatMap((test) => {
      const result = test.result()
      if (result.state === 'pending') return [`failed: ${file} > ${test.fullName}: did not end`]
      if (result.state !== 'failed') return []
      const [error] = result.errors
      const first = firstError(error)
      const hidden = first === error ? [] : [`before the failure of a disposal in ${test.fullName}: ${stackOf(first)}`]
      return [...hidden, `failed: ${file} > ${test.fullName}: ${messageOf(first)}`]
    })
    return [...own, ...tests]
  })
}

/** That of the test itself, where a disposal after it has failed as well (SuppressedError). */
function firstError(error: unknown): unknown {
  return error instanceof Object && 'suppressed' in error ? firstError(error.suppressed) : error
}

function stackOf(error: unknown): string {
  return error instanceof Object && 'stack' in error ? String(error.stack) : String(error)
}

/** The first line, cut: it stands behind the title. */
function messageOf(error: unknown): string {
  const message = error instanceof Object && 'message' in error ? String(error.message) : String(error)
  return (message.split('\n', 1)[0] ?? '').slice(0, 200)
}

/** One line for each reason, with the number of tests that it skipped. */
function skipReasons(skipped: readonly TestCase[]): string[] {
  const counts = new Map<string, number>()
  for (const test of skipped) {
    const result = test.result()
    const reason = (result.state === 'skipped' && result.note) || test.fullName
    counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }
  return [...counts].map(([reason, count]) => `skipped ${count}: ${reason}`)
}
