import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

/** Folders with a vitest project, or a script, of their own. */
const APART = /^test\/(browser|e2e|faults|hostile|image|local|orchestrator|recipes|soak|vm)\//

/** What starts a daemon in a process of its own. */
const DAEMON = 'test/_util/daemon.ts'
const LAUNCHER = 'scripts/envd'

/**
 * Tests that start no daemon, and yet take a second or more: they start programs or servers, unpack archives, walk
 * large trees, or wait. They run with those that start a daemon.
 */
export const INTEGRATION: readonly string[] = testFiles([
  'cgroups/cgroups',
  'cgroups/freeze/hierarchy',
  'cgroups/freeze/thaw',
  'cgroups/make-group',
  'files/diff-effort',
  'files/edit',
  'files/grep',
  'files/read-lines',
  'files/reflink',
  'http/routes/files-download',
  'http/routes/files-form',
  'http/routes/files-modes',
  'http/routes/files-modes-places',
  'http/routes/files-tree-facts',
  'http/routes/files-tree-options',
  'http/routes/files-upload',
  'http/routes/init',
  'http/routes/init-headers',
  'http/routes/init-retries',
  'http/routes/uploads',
  'http/server/listener',
  'init/host/commands',
  'init/mmds/look-up',
  'init/mmds/route-repair',
  'keeper/deposits',
  'keeper/keeper',
  'logs/exporter',
  'metrics/kernel-log/oom-kills',
  'native/cgroup',
  'native/filesystem-freeze',
  'native/peer',
  'native/poll',
  'process/usage',
  'supervisor/family',
  'supervisor/supervisor',
  'watch/change-cursors',
  'watch/pollers',
])

/**
 * Tests that take several seconds of a processor, or of waiting, as they try all kinds of one thing or start many
 * programs. They share a process as the quick ones do, and run with the stress tests.
 */
export const SLOW: readonly string[] = testFiles([
  'archives/mutations',
  'budget/given-up',
  'budget/spent',
  'capabilities/capabilities',
  'cgroups/freeze/starts',
  'ctl/attach',
  'ctl/commands',
  'ctl/completion',
  'ctl/cp',
  'ctl/jobs',
  'ctl/sandbox',
  'ctl/sync',
  'files/changes',
  'files/find',
  'files/odd-searches',
  'files/wide-directory',
  'http/access/foreign-pages',
  'http/access/token-file',
  'http/ports/relay-crowd',
  'http/routes/files-replacement',
  'http/routes/files-small-disk',
  'http/routes/files-tree',
  'http/routes/files-unpack',
  'http/routes/files-unpack-hostile',
  'http/routes/files-unzip',
  'http/routes/freeze',
  'http/server/init-turns',
  'http/server/memory-limits',
  'init/host/init',
  'init/mmds/daemon',
  'jobs/odd-inputs',
  'jobs/usage',
  'keeper/clock',
  'keeper/commands',
  'keeper/hostile-crashes',
  'keeper/hostile-upgrades',
  'keeper/pid-reuse',
  'keeper/restart',
  'keeper/starts',
  'keeper/upgrade',
  'keeper/upgrade-crashes',
  'keeper/uploads',
  'metrics/dropped-events',
  'ports/frozen',
  'process/command-group',
  'process/kept-exits',
  'process/output-cut',
  'rpc/broken-bodies',
  'rpc/every-call',
  'rpc/every-error',
  'rpc/gzip-memory',
  'rpc/long-lists',
  'startup/console-cost',
  'startup/ignored-signals',
  'terminals/screen',
  'terminals/terminals',
  'uploads/clients',
])

/**
 * Tests that take long by nature: repetition and races until something would show (stress), many kinds of one thing,
 * and waits in real time that no injected clock can replace; and tests that need a process of their own, as the others
 * share one. They run by `npm test` and `npm run test:stress` only; `npm run check` fails on a file that is not there.
 */
export const STRESS: readonly string[] = testFiles([
  'activity/activity',
  'cgroups/freeze/concurrency',
  'cgroups/freeze/filesystem-freeze',
  'cgroups/freeze/forgotten-freeze',
  'cgroups/freeze/starts-refused',
  'ctl/resume',
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
  'jobs/unread',
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
  'keeper/limits-kernel',
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
  'restricted-features',
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
  'users/seen-at-once',
  'watch/chaos',
  'watch/network',
  'watch/overflow',
  'watch/protocols',
  'watch/recursion',
  'watch/resources',
  'watch/stream',
])

/** The same of those that drive SDKs. */
export const E2E_STRESS: readonly string[] = testFiles([
  'e2e/big-file',
  'e2e/documents',
  'e2e/python',
  'e2e/watch-python',
])

/** The files of tests, by the project that runs them. */
export interface Kinds {
  /** No daemon is started: what they test is called in the process of the test, and is quick. */
  readonly unit: readonly string[]
  /** Against a daemon of its own process, or listed in INTEGRATION. */
  readonly integration: readonly string[]
  readonly slow: readonly string[]
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
  const others = files.filter((file) => !STRESS.includes(file) && !SLOW.includes(file))
  const together = (file: string) => INTEGRATION.includes(file) || startsDaemon(file, known)
  return {
    unit: others.filter((file) => !together(file)),
    integration: others.filter(together),
    slow: files.filter((file) => SLOW.includes(file)),
    stress: files.filter((file) => STRESS.includes(file)),
    e2e: all.filter((file) => file.startsWith('test/e2e/') && !E2E_STRESS.includes(file)),
  }
}

function testFiles(names: readonly string[]): readonly string[] {
  return names.map((name) => `test/${name}.test.ts`)
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
