import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { blocksOf, project, runShell } from '../recipes/examples.ts'

// What other tests run is not here: activity, jobs, resume and terminals (`recipes/examples`), ctl, images, local.

const PORT = 49983
const env = { PATH: `${join(project, 'node_modules/.bin')}${delimiter}${process.env['PATH']}` }
let daemon: Daemon

beforeEach(async (context) => {
  needsNamespace(context)
  daemon = await startDaemon({ port: PORT })
})
afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]()
})

/** What a block of a page prints, from the project's directory; `before` and `after` are lines around it. */
async function run(page: string, index: number, { before = '', after = '' } = {}): Promise<string> {
  const code = (await blocksOf(page, 'sh'))[index]
  if (code === undefined) throw new Error(`${page} has no such example`)
  return runShell(`cd ${project}\n${before}\n${code}\n${after}`, env)
}

test('README: curl asks for health, uploads, and looks at what it has uploaded', async () => {
  const printed = await run('../README.md', 1)
  expect(printed).toMatch(/^HTTP\/1.1 204 /)
  expect(printed).toContain('"path":"/tmp/hello.txt"')
  expect(printed).toContain('"size":"5"')
})

test('metrics: as JSON, as text, and the history', async () => {
  const printed = await run('metrics.md', 0)
  expect(printed).toContain('"cpu_count":')
  expect(printed).toContain('# EOF')
  expect(printed).toContain('"samples":[{')
})

test('ports: what listens is listed and reached', async () => {
  expect(await run('ports.md', 0)).toContain(`"port":${PORT}`)
  const [, code = ''] = await blocksOf('ports.md', 'sh')
  const [server = '', ...requests] = code.split(/(?<=&\n)/)
  const started = server.replace(/^python3 (.*) &/, 'exec 3< <(exec python3 -u $1); read -u 3 line; server=$!')
  const served = await runShell(`cd /etc; ${started}\n${requests.join('')}\nkill $server`)
  expect(served.match(/Directory listing for \//g)).toHaveLength(4)
})

test('recipes: a token, an upload, a download and a list by curl', async () => {
  await using dir = await makeTmpDir()
  await writeFile(join(dir.path, 'photo.png'), 'a photo')
  const printed = await run('recipes.md', 0, { before: `cd ${dir.path}` })
  expect(printed).toContain('"path":"/tmp/photo.png"')
  expect(await readFile(join(dir.path, 'copy.png'), 'utf8')).toBe('a photo')
})

test('files-service: what has changed, what is found, and an edit that is undone', async (context) => {
  await mkdir('/app', { recursive: true })
  await writeFile('/app/config.py', 'debug = True\n# TODO\n')
  const changes = await run('files-service.md', 0, { before: NO_JQ })
  expect(changes).toContain('"path":"new"')
  expect(await run('files-service.md', 1)).toContain('# TODO')
  const [, , code = ''] = await blocksOf('files-service.md', 'sh')
  if ((await runShell('command -v jq || true')) === '') context.skip('the example of an edit needs jq')
  const edited = await runShell(code, env)
  expect(edited).toContain('-debug = True\n+debug = False\n')
  expect(edited).toContain('+++ b/app/NOTES\n')
  expect(await readFile('/app/config.py', 'utf8')).toBe('debug = True\n# TODO\n')
})

test('files: a project goes in and comes back, and a file is changed on a condition', async () => {
  await using dir = await makeTmpDir()
  const before = `URL=http://localhost:${PORT} TOKEN=none; cd ${dir.path}`
  await mkdir(join(dir.path, 'project/node_modules'), { recursive: true })
  await writeFile(join(dir.path, 'project/a'), 'one')
  await writeFile(join(dir.path, 'project/node_modules/b'), 'two')
  // The second command needs the internet.
  const [upload = '', download = '', edit = ''] = await blocksOf('files.md', 'sh')
  await runShell(`${before}\n${upload.split(/(?=^curl -sL)/m)[0]}`)
  await runShell(`${before}; mkdir back; cd back\n${download}`)
  expect(await runShell(`cd ${dir.path}/back; find . -type f`)).toBe('./a\n')
  await mkdir('/app', { recursive: true })
  await writeFile('/app/config.json', '{}')
  const changed = edit.replace('# … change config.json …', 'echo "[]" >config.json')
  expect(await runShell(`${before}\n${changed}`)).toContain('/app/config.json')
  expect(await readFile('/app/config.json', 'utf8')).toBe('[]\n')
})

test('logs: buf follows the log', async () => {
  const log = await run('logs.md', 0, { before: 'npx() { shift; timeout 3 buf "$@" || echo "ended with $?"; }' })
  expect(log).toMatch(/"start".*ended with 124\n$/s)
})

test('limits: buf starts a command with one', async (context) => {
  await using dir = await makeTmpDir()
  await writeFile(join(dir.path, 'Makefile'), 'test:\n\t@echo tested\n')
  const body = JSON.stringify({ defaultWorkdir: dir.path })
  await fetch(`${daemon.url}/init`, { method: 'POST', body })
  const limited = await run('limits.md', 0).catch((error: unknown) => String(error))
  if (limited.includes('failed_precondition')) context.skip(`no limits here: ${limited}`)
  expect(limited).toContain(Buffer.from('tested\n').toString('base64'))
})

/** The one use of jq(1), for machines without it. */
const NO_JQ = `jq() { sed -n 's/.*"token":"\\([^"]*\\)".*/\\1/p'; }`
