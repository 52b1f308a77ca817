import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { chosenSeed, seeded } from '../hostile/random.ts'
import { FILES_V1, FILESYSTEM } from './files.ts'
import { PROCESSES } from './processes.ts'
import { type Finding, runScenario } from './run.ts'
import type { Scenario } from './scenario.ts'
import { makeFaultTable } from './table.ts'
import { UPLOADS } from './uploads.ts'
import { SANDBOX, WATCHES } from './watches.ts'

const GROUPS: readonly (readonly [string, readonly Scenario[]])[] = [
  ['uploads', UPLOADS],
  ['filesystem.Filesystem and downloads', FILESYSTEM],
  ['files.v1.Files', FILES_V1],
  ['watches', WATCHES],
  ['commands and terminals', PROCESSES],
  ['the sandbox', SANDBOX],
]

/** Of the faults, in the reduced form. */
const REDUCED_PART = 0.08

const reduced = process.env['ENVD_FAULTS'] === 'reduced'
const seed = chosenSeed('FAULTS_SEED')

test.each(GROUPS)(
  'every system call of %s fails in every way: reported, nothing left, and it goes on',
  async (group, scenarios) => {
    await using dir = await makeTmpDir()
    using table = await makeFaultTable(dir.path)
    await using daemon = await startDaemon({ env: table.env })
    const random = seeded(seed)
    const wanted = () => !reduced || random.chance(REDUCED_PART)
    const findings: Finding[] = []
    for (const scenario of scenarios) {
      const found = await runScenario({ daemon, table, root: dir.path, wanted }, scenario)
      console.log(tableOf(scenario, found))
      findings.push(...found)
    }
    console.log(`${group}: ${findings.length} faults, seed ${seed}`)
    expect(findings.filter(({ problems }) => problems.length > 0).map(lineOf)).toEqual([])
    expect(findings.length).toBeGreaterThan(scenarios.length)
  },
)

/** A line for each call: its errors, by what clients were told. */
function tableOf({ name }: Scenario, findings: readonly Finding[]): string {
  const points = Map.groupBy(findings, ({ fault, match }) => `${fault.call} +${fault.skip}${placeOf(match)}`)
  const lines = [...points].map(([point, found]) => {
    const reported = Map.groupBy(found, ({ outcome }) => outcome.code)
    const texts = [...reported].map(([code, of]) => `${code} (${of.map(({ fault }) => errorOf(fault)).join(' ')})`)
    return `  ${point}: ${texts.join(', ')}`
  })
  return [`${name}: ${findings.length} faults at ${points.size} points`, ...lines].join('\n')
}

function placeOf(match: string): string {
  return match === 'DIR' || match === '\u0001' ? '' : ` of ${match}`
}

function errorOf({ errno, lasting }: Finding['fault']): string {
  return lasting ? `${errno}…` : errno
}

function lineOf({ scenario, fault, match, outcome, problems }: Finding): string {
  const point = `${fault.call} +${fault.skip}${placeOf(match)} ${errorOf(fault)}`
  return `${scenario}: ${point}: ${outcome.code}: ${problems.join('; ')}`
}

/** What the addon calls and no test lets fail, and why. */
const NEVER_FAIL: readonly (readonly [RegExp, string])[] = [
  [/^(mem|str|sn?printf|__isoc99_|sigfillset|napi_|uv_|__cxa|_Unwind|__gxx|_ITM|__gmon|_Z)/, 'no system calls'],
  [/^(__errno_location|__libc_single_threaded|free|abort|_exit|syscall|dl_iterate_phdr|sysconf)$/, 'no system calls'],
  [/^pthread_(attr_|cond_|mutex_|sigmask)/, 'do not fail with valid arguments'],
  [/^(getpid|getsid|geteuid|getegid|getgroups|setfsuid|setfsgid|getrlimit)$/, 'do not fail with valid arguments'],
  [/^(clock_gettime|clock_settime)$/, 'do not fail, or for want of rights only, which has a test of its own'],
  [/^gettid$/, 'does not fail'],
  [/^__tls_get_addr$/, 'the address of a variable of the thread'],
  [/^(closedir|munmap|madvise|prctl)$/, 'only give something back, or hints'],
  [/^(dirfd|rewinddir)$/, 'of an open stream, and no system call whose failure they report'],
]

test('every call of the addon that can fail is a point', async () => {
  await using dir = await makeTmpDir()
  using table = await makeFaultTable(dir.path)
  await using _daemon = await startDaemon({ env: table.env })
  const { stdout } = await promisify(execFile)('nm', ['-D', '--undefined-only', 'dist/envd.node'])
  const called = [...stdout.matchAll(/ [Uw] (\w+)/g)].map(([, name = '']) => name)
  expect(called).toContain('openat')
  const points = new Set(table.points())
  const missing = called.filter((name) => !points.has(name) && !NEVER_FAIL.some(([pattern]) => pattern.test(name)))
  expect(missing).toEqual([])
})
