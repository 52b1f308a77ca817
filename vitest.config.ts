import { defineConfig } from 'vitest/config'
import { E2E_STRESS, kindsOfTests } from './test/_util/kinds.ts'

/** As in `scripts/envd`: code under test runs with the flags of the daemon. */
const execArgv = ['--max-semi-space-size=2']

if (Number.parseInt(process.versions.node, 10) < 24)
  throw new Error(
    `tests need Node 24, and this is ${process.version}: run \`npm test\`, which takes the one in node_modules`,
  )

const { unit, integration, slow, stress, e2e } = kindsOfTests()

export default defineConfig({
  test: {
    pool: 'forks',
    execArgv,
    // Node strips the types itself, as when it runs `src/main.ts`: no server transforms each module for each worker.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    watch: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    // What is waited for comes at once, unless the machine is busy.
    expect: { poll: { timeout: 15_000 } },
    reporters: [['default', { summary: false }], './test/_util/reporter.ts'],
    projects: [
      ...Object.entries({ unit, integration }).map(([name, include]) => ({
        extends: true as const,
        test: {
          name,
          include: [...include],
          sequence: { groupOrder: 0 },
          // One more than there are cores: half of the time of a test goes into waiting.
          maxWorkers: 3,
          // A process for each file takes a third of the time of the unit tests. What leaks on purpose is a stress test.
          isolate: false,
        },
      })),
      ...Object.entries({ slow, stress }).map(([name, include]) => ({
        extends: true as const,
        test: {
          name,
          include: [...include],
          sequence: { groupOrder: 1 },
          maxWorkers: 2,
          isolate: name === 'stress',
        },
      })),
      ...Object.entries({ e2e, 'e2e-stress': E2E_STRESS }).map(([name, include]) => ({
        extends: true as const,
        test: {
          name,
          include: [...include],
          // Old SDKs know only port 49983, so one file at a time.
          fileParallelism: false,
          // Each release of the SDK is loaded once, not for each file.
          isolate: name === 'e2e-stress',
          testTimeout: 20_000,
          sequence: { groupOrder: 2 },
          // What an SDK needs to take the daemon of this machine for a sandbox.
          env: { E2B_DEBUG: 'true', E2B_API_KEY: `e2b_${'0'.repeat(40)}` },
        },
      })),
      {
        extends: true,
        test: {
          name: 'orchestrator',
          include: ['test/orchestrator/**/*.test.ts'],
          // Its time limits are for a machine of its own, so one file at a time.
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: 'hostile',
          // By scripts/test-hostile only: an attacked daemon has the machine to itself.
          include: process.env['ENVD_HOSTILE'] === undefined ? [] : ['test/hostile/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 1_800_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          // By scripts/test-faults only: it measures what the daemon holds.
          include: process.env['ENVD_FAULTS'] === undefined ? [] : ['test/faults/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 1_800_000,
          sequence: { groupOrder: 4 },
        },
      },
      {
        extends: true,
        test: {
          name: 'soak',
          // By scripts/test-soak only: old SDKs know only port 49983, and it measures what the daemon holds.
          include: process.env['SOAK_MINUTES'] === undefined ? [] : ['test/soak/**/*.test.ts'],
          fileParallelism: false,
          sequence: { groupOrder: 4 },
          env: { E2B_DEBUG: 'true', E2B_API_KEY: `e2b_${'0'.repeat(40)}` },
        },
      },
      {
        extends: true,
        test: {
          name: 'image',
          // By scripts/test-image only, which makes what they need.
          include: process.env['ENVD_TEST_IMAGE'] === '1' ? ['test/{browser,image,local,recipes}/**/*.test.ts'] : [],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 5 },
          env: { E2B_API_KEY: `e2b_${'0'.repeat(40)}` },
        },
      },
      {
        extends: true,
        test: {
          name: 'vm',
          // By scripts/test-vm only, which makes the machines. An emulated processor is 25 times slower.
          include: process.env['ENVD_TEST_VM'] === '1' ? ['test/vm/**/*.test.ts'] : [],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          expect: { poll: { timeout: 120_000 } },
          sequence: { groupOrder: 6 },
          env: { E2B_API_KEY: `e2b_${'0'.repeat(40)}` },
        },
      },
    ],
  },
})
