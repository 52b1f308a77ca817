import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { beforeEach, expect, test } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { chosenSeed } from './random.ts'
import { FUZZ_NATIVE_SECONDS } from './scale.ts'

const run = promisify(execFile)

/** What is fuzzed by libFuzzer, in `native/`, and what of the product is linked with it. */
const TARGETS = {
  'archives.cc': [
    'acting-as',
    'actor',
    'archive-entries',
    'archived',
    'below',
    'job',
    'made',
    'mounts',
    'pieces',
    'probes',
    'proc-link',
    'remove-below',
    'tar-header',
    'thread',
    'values',
    'walk',
  ],
  'netlink.cc': ['job', 'thread', 'values'],
  'spawn-spec.cc': ['spawn-spec', 'values'],
  'keeper.c': ['../keeper/table'],
}

const CHECKS = ['address', 'undefined', 'float-cast-overflow']
const SANITIZED = [`-fsanitize=fuzzer,${CHECKS}`, `-fno-sanitize-recover=${CHECKS.slice(1)}`]
// Nothing of Node is linked: what calls it is not reached, or stands in the target.
const WITHOUT_NODE = ['-fno-pie', '-no-pie', '-Wl,--warn-unresolved-symbols']
const MISSING = /undefined reference to `(?!napi_|uv_)[^']*'/g
const NODE_HEADERS = join(process.execPath, '../../include/node')

/** An input that took longer than any should, and what one may take of memory. */
const LIMITS = ['-timeout=20', '-rss_limit_mb=1024', '-max_len=2048']

/** The compiler, where it is installed (Debian's clang with libclang-rt-dev). */
const clang = process.env['PATH']
  ?.split(delimiter)
  .map((dir) => join(dir, 'clang'))
  .find(isExecutable)

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

beforeEach((context) => {
  needsNamespace(context)
  if (clang === undefined) context.skip('clang is missing')
})

test.each(Object.entries(TARGETS))('%s finds no fault in the native code', async (target, parts) => {
  await using dir = await makeTmpDir()
  const seed = chosenSeed('FUZZ_NATIVE_SEED')
  const [source = '', extension] = target.split('.')
  const language = extension === 'c' ? ['-std=gnu11'] : ['-std=c++20', '-isystem', NODE_HEADERS]
  const sources = parts.map((part) => `src/native/${part}.${extension}`)
  const program = join(dir.path, source)
  const compiler = extension === 'c' ? `${clang}` : `${clang}++`
  const { stderr: warnings } = await run(compiler, [
    ...['-g', '-O1', '-Wall', '-Wextra', '-Werror', ...SANITIZED, ...language, ...WITHOUT_NODE],
    ...[`test/hostile/native/${target}`, ...sources, '-o', program],
  ])
  expect(warnings.match(MISSING) ?? []).toEqual([])
  await mkdir(join(dir.path, 'corpus'))
  const options = [`-max_total_time=${FUZZ_NATIVE_SECONDS}`, `-seed=${seed}`, '-print_final_stats=1', ...LIMITS]
  const { stdout, stderr } = await run(program, [...options, 'corpus'], { cwd: dir.path, maxBuffer: 2 ** 28 }).catch(
    // What libFuzzer says of its finding stands at the end, with the input in base64.
    (error: { stdout: string; stderr: string }) => ({ stdout: 'a fault was found', stderr: error.stderr }),
  )
  const [, units] = /number_of_executed_units:\s*(\d+)/.exec(stderr) ?? []
  console.log(`${target}: ${units} inputs in ${FUZZ_NATIVE_SECONDS} s, FUZZ_NATIVE_SEED=${seed}`)
  expect(stdout === '' ? '' : `FUZZ_NATIVE_SEED=${seed}: ${stderr.slice(-8000)}`).toBe('')
  expect(Number(units)).toBeGreaterThan(FUZZ_NATIVE_SECONDS)
})
