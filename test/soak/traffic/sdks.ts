import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createSandbox, type Sandbox, type Sdk, sdks } from '../../e2e/sdk.ts'
import { check, type Field, type Traffic } from '../field.ts'
import { cleaned } from './remove.ts'

const PYTHON = fileURLToPath(new URL('../../../.cache/python/latest/bin/python', import.meta.url))
const SUITE = fileURLToPath(new URL('../../e2e/python/suite.py', import.meta.url))
/** Tests of the suite that may run beside others: they count no processes and use no name that others use. */
const TESTS = ['test_output_and_exit_code', 'test_standard_input', 'test_write_and_read', 'test_terminal'] as const

async function runs(sandbox: Sandbox, _: Field, id: string): Promise<void> {
  const { stdout, exitCode } = await sandbox.commands.run(`echo ${id}`)
  check(stdout === `${id}\n` && exitCode === 0, 'SDK command', { stdout, exitCode })
}

async function keeps(sandbox: Sandbox, { dir }: Field, id: string): Promise<void> {
  const path = `${dir}/${id}/file`
  await sandbox.files.write(path, `content of ${id}`)
  check((await sandbox.files.read(path)) === `content of ${id}`, 'SDK file')
  check((await sandbox.files.list(`${dir}/${id}`)).length === 1, 'SDK listing')
  await sandbox.files.remove(path)
  check(!(await sandbox.files.exists(path)), 'SDK removal')
}

async function background(sandbox: Sandbox, _: Field, id: string): Promise<void> {
  const handle = await sandbox.commands.run(`sleep 20; echo ${id}`, { background: true })
  check(await handle.kill(), 'SDK kill')
  await handle.wait().catch(() => {})
}

async function watches(sandbox: Sandbox, { dir }: Field, id: string): Promise<void> {
  await sandbox.files.makeDir(`${dir}/${id}`)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onEvent = ({ name }: { readonly name: string }) => {
    if (name === 'reported') resolve()
  }
  const onExit = (error?: Error) => reject(error ?? new Error('the watch has ended'))
  const handle = await sandbox.files.watchDir(`${dir}/${id}`, onEvent, { onExit })
  await sandbox.files.write(`${dir}/${id}/reported`, 'x')
  await promise
  await handle.stop()
}

function bySdk(sdk: Sdk): Traffic {
  const run = async (field: Field, id: string) => {
    const sandbox = await createSandbox(sdk)
    await field.random.pick([runs, keeps, background, watches])(sandbox, field, id)
  }
  return cleaned(`JavaScript SDK ${sdk.version}`, run, 0.5)
}

async function python({ random }: Field): Promise<void> {
  const { stdout } = await promisify(execFile)(PYTHON, [SUITE, random.pick(TESTS)])
  check(stdout.includes('"passed"'), 'Python SDK', stdout)
}

/** Published SDKs; Python where `scripts/python-environments` could install it. */
export const SDKS: readonly Traffic[] = [
  ...sdks.map(bySdk),
  ...(existsSync(PYTHON) ? [{ name: 'Python SDK', weight: 0.15, run: python }] : []),
]
