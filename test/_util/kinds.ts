import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

/** Folders with a vitest project, or a script, of their own. */
const APART = /^test\/(browser|e2e|hostile|image|local|orchestrator|recipes|vm)\//

/** What starts a daemon in a process of its own. */
const DAEMON = 'test/_util/daemon.ts'
const LAUNCHER = 'scripts/envd'

/**
 * Tests that take long by nature: repetition and races until something would show (stress), many kinds of one thing,
 * and waits in real time that no injected clock can replace; and tests that need a process of their own, as the others
 * share one. They run by `npm test` and `npm run test:stress` only; `npm run check` fails on a file that is not there.
 */
export const STRESS: readonly string[] = [
  'activity/activity',
  'cgroups/freeze/concurrency',
  'cgroups/freeze/filesystem-freeze',
  'cgroups/freeze/forgotten-freeze',
  'cgroups/freeze/starts-refused',
  'http/abandoned-requests',
  'http/floods',
  'http/routes/files-pace',
  'http/routes/many-files',
  'http/server/storm',
  'http/target-fuzz',
  'init/clock-set',
  'init/host/ca-bundle-crash',
  'init/host/process-one',
  'init/host/volumes',
  'lib/linked-list',
  'logs/canary',
  'logs/stalled',
  'metrics/oom-kill',
  'metrics/sdk-shape',
  'metrics/service',
  'native/leaks',
  'native/orphans',
  'native/wrong-arguments',
  'peers/probes',
  'ports/default-address',
  'ports/forwarding',
  'ports/relay-load',
  'keeper/random-kills',
  'keeper/upgrades-under-load',
  'process/connect',
  'process/cut-connections',
  'process/exactness',
  'process/idempotency',
  'process/limits-kernel',
  'process/many',
  'process/many-kills',
  'process/output-bounds',
  'process/readers',
  'process/restricted',
  'process/robustness',
  'process/stream-input',
  'process/terminal-flow',
  'rpc/abandoned-streams',
  'rpc/broken-requests',
  'rpc/request-bodies',
  'rpc/timeouts',
  'shutdown',
  'startup/own-priority',
  'supervisor/daemon',
  'supervisor/failing',
  'supervisor/kernel-gateway',
  'supervisor/live',
  'supervisor/service-group',
  'supervisor/services',
  'supervisor/take-over',
  'terminals/given-up',
  'watch/chaos',
  'watch/network',
  'watch/overflow',
  'watch/protocols',
  'watch/recursion',
  'watch/resources',
  'watch/stream',
].map((name) => `test/${name}.test.ts`)

/** The same of those that drive SDKs. */
export const E2E_STRESS: readonly string[] = ['test/e2e/big-file.test.ts']

/** The files of tests, by the project that runs them. */
export interface Kinds {
  /** No daemon is started: what they test is called in the process of the test. */
  readonly unit: readonly string[]
  /** Against a daemon of its own process. */
  readonly daemon: readonly string[]
  readonly stress: readonly string[]
  /** Published SDKs drive it. */
  readonly e2e: readonly string[]
}

/**
 * Sorts all test files that have no project of their own. A unit test has no import that leads to `daemon.ts` or to a
 * file that names the launcher.
 */
export function kindsOfTests(): Kinds {
  const known = new Map<string, boolean>()
  const all = readdirSync('test', { recursive: true, encoding: 'utf8' })
    .map((name) => `test/${name}`)
    .filter((file) => file.endsWith('.test.ts'))
    .sort()
  const files = all.filter((file) => !APART.test(file))
  const stress = files.filter((file) => STRESS.includes(file))
  const others = files.filter((file) => !STRESS.includes(file))
  return {
    unit: others.filter((file) => !startsDaemon(file, known)),
    daemon: others.filter((file) => startsDaemon(file, known)),
    stress,
    e2e: all.filter((file) => file.startsWith('test/e2e/') && !E2E_STRESS.includes(file)),
  }
}

function startsDaemon(file: string, known: Map<string, boolean>): boolean {
  if (file === DAEMON) return true
  const found = known.get(file)
  if (found !== undefined) return found
  // For a cycle of imports; the answer takes its place.
  known.set(file, false)
  const text = readFileSync(file, 'utf8')
  const imports = [...text.matchAll(/^(?:import|export)[^'"]* from '(\.[^']+)'/gm)]
  const inTests = imports.map(([, name = '']) => normalize(join(dirname(file), name)))
  const starts =
    text.includes(LAUNCHER) || inTests.some((name) => name.startsWith('test/') && startsDaemon(name, known))
  known.set(file, starts)
  return starts
}
