import { execFile } from 'node:child_process'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { SpawnFailure, type SpawnSpec, spawn } from '../../src/native/index.ts'
import { needsRoot } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { devNull, plainSpec } from './run-process.ts'

async function failure(changes: Partial<SpawnSpec>): Promise<SpawnFailure> {
  const error = await spawn({ ...plainSpec, ...changes }).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof SpawnFailure) return error
  throw new Error('no SpawnFailure', { cause: error })
}

const long = 'x'.repeat(200 * 1024)

test.each<[string, Partial<SpawnSpec>, SpawnFailure['stage'], keyof typeof constants.errno]>([
  ['a command that is not in PATH', { file: 'no-such-command' }, 'exec', 'ENOENT'],
  ['a path that does not exist', { file: '/no/such/command' }, 'exec', 'ENOENT'],
  ['an empty command', { file: '' }, 'exec', 'ENOENT'],
  ['a path through a file', { file: '/etc/passwd/x' }, 'exec', 'ENOTDIR'],
  ['a directory as command', { file: '/tmp' }, 'exec', 'EACCES'],
  ['a file that is not executable', { file: '/etc/passwd' }, 'exec', 'EACCES'],
  ['a name of 300 letters', { file: 'x'.repeat(300) }, 'exec', 'ENAMETOOLONG'],
  ['a working directory that does not exist', { cwd: '/no/such/directory' }, 'chdir', 'ENOENT'],
  ['an empty working directory', { cwd: '' }, 'chdir', 'ENOENT'],
  ['a working directory that is a file', { cwd: '/etc/passwd' }, 'chdir', 'ENOTDIR'],
  ['NUL in the command', { file: 'tr\0ue' }, 'prepare', 'EINVAL'],
  ['NUL in an argument', { args: ['\0'] }, 'prepare', 'EINVAL'],
  ['NUL in the environment', { env: ['A=b\0c'] }, 'prepare', 'EINVAL'],
  ['NUL in the working directory', { cwd: '/\0' }, 'prepare', 'EINVAL'],
  ['an argument of 200 KiB', { args: [long] }, 'exec', 'E2BIG'],
  [
    'an environment of 20 MiB',
    { env: Array.from({ length: 200 }, (_, n) => `V${n}=${'x'.repeat(100 * 1024)}`) },
    'exec',
    'E2BIG',
  ],
  ['a closed descriptor', { stdio: [devNull, devNull, 100_000] }, 'stdio', 'EBADF'],
  ['a controlling terminal that is none', { terminal: true }, 'terminal', 'ENOTTY'],
])('D11 D12 D13 %s is a failure with its stage and errno', async (_title, changes, stage, code) => {
  const error = await failure(changes)
  expect({ stage: error.stage, errno: error.errno, code: error.code }).toEqual({
    stage,
    errno: constants.errno[code],
    code,
  })
  expect(error.pid > 0).toBe(stage !== 'prepare')
})

test('D12 a working directory that the user may not enter is refused, though root may enter it', async (context) => {
  needsRoot(context)
  await using dir = await makeTmpDir()
  const closed = join(dir.path, 'closed')
  await mkdir(closed)
  await chmod(closed, 0o700)
  const user = { uid: 65534, gid: 65534, groups: [] }
  expect(await failure({ cwd: closed, user })).toMatchObject({ stage: 'chdir', code: 'EACCES' })
})

test('a script whose interpreter does not exist is a failure, as is a binary of nonsense', async () => {
  await using dir = await makeTmpDir()
  const file = join(dir.path, 'script')
  await writeFile(file, '#!/no/such/interpreter\n', { mode: 0o755 })
  expect(await failure({ file })).toMatchObject({ stage: 'exec', code: 'ENOENT' })
})

test('another user is refused with EPERM where the daemon is not root', async (context) => {
  needsRoot(context)
  const script = join(import.meta.dirname, 'fixtures/spawn-as-root.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [script], { uid: 65534, gid: 65534 })
  expect(JSON.parse(stdout)).toEqual({ stage: 'user', code: 'EPERM' })
})

test('a failed start leaves no process behind', async () => {
  const { pid } = await failure({ file: 'no-such-command' })
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['a number', 7],
  ['an object without properties', {}],
  ['a number as command', { ...plainSpec, file: 1 }],
  ['a string as arguments', { ...plainSpec, args: 'x' }],
  ['a number among the arguments', { ...plainSpec, args: [1] }],
  ['two descriptors', { ...plainSpec, stdio: [0, 1] }],
  ['a negative descriptor', { ...plainSpec, stdio: [0, 1, -1] }],
  ['uid -1, which setresuid takes for "unchanged"', { ...plainSpec, user: { uid: -1, gid: 0, groups: [] } }],
  ['uid 4294967295, which is the same', { ...plainSpec, user: { uid: 2 ** 32 - 1, gid: 0, groups: [] } }],
  ['a user without groups', { ...plainSpec, user: { uid: 0, gid: 0 } }],
  ['a user of null', { ...plainSpec, user: null }],
  ['a fraction as limit', { ...plainSpec, noFile: 1.5 }],
  ['NaN as nice value', { ...plainSpec, nice: Number.NaN }],
])('a spec that is %s is refused with a TypeError', async (_title, spec) => {
  // The cast smuggles in what the type forbids, which is what this test is about.
  await expect(spawn(spec as SpawnSpec)).rejects.toThrow(TypeError)
})

test('what a getter of the spec throws comes out', async () => {
  const spec = {
    ...plainSpec,
    get cwd(): string {
      throw new RangeError('from the getter')
    },
  }
  await expect(spawn(spec)).rejects.toThrow('from the getter')
})
