import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The root of the checkout. */
export const project = fileURLToPath(new URL('../..', import.meta.url))
/** In the project, so that examples find its packages. */
const directory = join(project, '.cache/examples')

/** With grpcio and grpcio-tools. */
export const grpcPython = join(project, '.cache/python/grpc/bin/python')

/** The code of the blocks in that language of a page of `docs/`, in their order. */
export async function blocksOf(page: string, language: 'sh' | 'js' | 'python'): Promise<string[]> {
  const text = await readFile(join(project, 'docs', page), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, code]) => code ?? '')
}

/** What the code prints when a shell runs it. Rejects when it fails. */
export async function runShell(code: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { stdout } = await promisify(execFile)('bash', ['-euc', code], { env: { ...process.env, ...env } })
  return stdout
}

/** The same of Python with the clients of gRPC that the documents say how to make. */
export async function runPython(code: string, protos: readonly string[] = []): Promise<string> {
  const python = existsSync(grpcPython) ? grpcPython : 'python3'
  const generated = join(directory, 'python')
  await mkdir(generated, { recursive: true })
  const options = ['-I', 'proto', `--python_out=${generated}`, `--grpc_python_out=${generated}`]
  for (const proto of protos)
    await promisify(execFile)(python, ['-m', 'grpc_tools.protoc', ...options, proto], { cwd: project })
  const env = { ...process.env, PYTHONPATH: generated }
  return (await promisify(execFile)(python, ['-c', code], { env })).stdout
}

/** Runs JavaScript with the project's packages and generated clients; ends it once what it prints has `until`. */
export async function runScript(name: string, code: string, until?: string): Promise<string> {
  await mkdir(directory, { recursive: true })
  await rm(join(directory, 'gen'), { force: true })
  await symlink(join(project, 'src/gen'), join(directory, 'gen'))
  const file = join(directory, `${name}.mjs`)
  await writeFile(file, code)
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  let printed = ''
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
    if (until !== undefined && printed.includes(until)) child.kill()
  })
  const code_ = await closed
  if (code_ !== 0 && until === undefined) throw new Error(`${name} ended with ${code_}: ${printed}`)
  return printed
}
