import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, type TestContext, test, vi } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { call, open, pidOf, start } from '../_util/rpc.ts'
import { blocksOf, grpcPython, runPython, runScript, runShell } from './examples.ts'
import { DAEMON_PORT, reasonOf } from './proxies.ts'

const BUILD = 'for i in 1 2 3; do echo line $i; done; exec sleep 600'
const MAKEFILE = 'deploy:\n\t@echo deployed >>deployments; cat deployments\ntest:\n\t@echo tested; echo warned >&2\n'

let daemon: Daemon
let work: string

/** A daemon at the port of the examples, whose commands start in a directory with a Makefile. */
beforeEach(async (context) => {
  needsNamespace(context)
  work = await mkdtemp(join(tmpdir(), 'examples-'))
  await writeFile(join(work, 'Makefile'), MAKEFILE)
  daemon = await startDaemon({ port: DAEMON_PORT })
  const body = JSON.stringify({ defaultUser: 'root', defaultWorkdir: work })
  const { status } = await sendWhole(`${daemon.url}/init`, { method: 'POST', body })
  expect(status).toBe(204)
})
afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]()
  if (work !== undefined) await rm(work, { recursive: true })
})

/** Starts the command that the examples call `build`, and returns its pid. */
async function startBuild(code = BUILD): Promise<number> {
  return pidOf(await start(daemon.url, 'sh', { args: ['-c', code], tag: 'build' }))
}

/** The first block of that language on the page, or the one at `index`. */
async function block(page: string, language: 'sh' | 'js' | 'python', index = 0): Promise<string> {
  const code = (await blocksOf(page, language))[index]
  if (code === undefined) throw new Error(`${page} has no such example`)
  return code
}

function needsGrpc(context: TestContext): void {
  if (!existsSync(grpcPython)) context.skip(`grpcio-tools is missing: ${reasonOf('grpc')}`)
}

test('jobs: the first example for curl shows how a command with a key ended', async () => {
  await runShell(await block('resume.md', 'sh'))
  const { job } = JSON.parse(await runShell(await block('jobs.md', 'sh')))
  expect(job).toMatchObject({ key: 'deploy-42', cmd: 'make', args: ['deploy'], user: 'root', cwd: work })
  expect(job).toMatchObject({ state: 'STATE_ENDED', status: 'exit status 0', cause: 'CAUSE_EXIT' })
})

test('jobs: the second one lists, waits and kills', async () => {
  const pid = await startBuild()
  const code = (await block('jobs.md', 'sh', 1)).replace('"timeoutMs":60000', '"timeoutMs":100')
  const [listed, waited, killed] = (await runShell(code.replaceAll(/(?<=\/(List|Wait))$/gm, '; echo'))).split('\n')
  expect(JSON.parse(listed ?? '').jobs).toMatchObject([{ pid, tag: 'build' }])
  expect(JSON.parse(waited ?? '')).toMatchObject({ job: { pid, state: 'STATE_RUNNING' } })
  expect(JSON.parse(killed ?? '')).toMatchObject({ job: { pid, status: 'signal: terminated' } })
})

test('jobs: the one for JavaScript follows the output and waits', async () => {
  await startBuild('for i in 1 2 3; do echo line $i; sleep 0.1; done; exit 4')
  expect(await runScript('jobs', await block('jobs.md', 'js'))).toMatch(
    /^line 1\nline 2\nline 3\nexit status 4 1 [\d.]+\n$/,
  )
})

test('jobs: the one for Python waits and kills', async (context) => {
  needsGrpc(context)
  await startBuild()
  const code = (await block('jobs.md', 'python')).replace('60_000', '100')
  expect(await runPython(code, ['jobs/v1/jobs.proto'])).toBe('signal: terminated CAUSE_SIGNAL\n')
})

test('resume: the same key sent twice runs the command once', async () => {
  const code = await block('resume.md', 'sh')
  expect(await runShell(code)).toContain('"end"')
  expect(await runShell(code)).toContain('"end"')
  expect(await readFile(join(work, 'deployments'), 'utf8')).toBe('deployed\n')
})

test('resume: the example for JavaScript prints all output and the status', async () => {
  const printed = await runScript('resume', await block('resume.md', 'js'))
  expect(printed.split('\n').sort()).toEqual(['', 'exit status 0', 'tested', 'warned'])
})

test('resume: those for Python and curl go on at byte 120', async () => {
  const pid = await startBuild("printf '%0120d' 0; echo rest; exit 3")
  const python = (await block('resume.md', 'python')).replace('4711', String(pid))
  expect(await runPython(python)).toBe('rest\n')
  const shell = (await block('resume.md', 'sh', 1)).replaceAll('4711', String(pid))
  const printed = await runShell(shell)
  expect(printed).toContain(Buffer.from('rest\n').toString('base64'))
  expect(printed).toContain('"exitCode":3')
})

test('terminals: the example for curl opens one, types into it and lists it', async () => {
  const [first = '', second = '', ...rest] = (await block('terminals.md', 'sh')).split(/(?=^curl|^envelope ')/m)
  // It streams until the terminal closes: beside the others.
  const code = `${first}( ${second.trim()} --max-time 10 >${work}/stream 2>&1 & )\n`
  const listed = await runShell(`${code}until curl -s -H 'content-type: application/json' -d '{}' \
    localhost:${DAEMON_PORT}/terminals.v1.Terminals/List | grep -q main; do :; done\n${rest.join('')}`)
  expect(listed).toContain('"name":"main"')
  // Its echo may come behind a prompt, in the same piece.
  const echoes = [0, 1, 2].map((before) => Buffer.from(`${'\0'.repeat(before)}ls\r\n`).toString('base64'))
  const listing = echoes.map((text, before) => text.slice(before && before + 1, before === 2 ? 8 : before ? 6 : 4))
  await runShell(`until grep -aqE '${listing.join('|')}' ${work}/stream; do :; done`)
})

/** A terminal of xterm.js into which the test types, and which says what it shows. */
const SCREEN = `import headless from '@xterm/headless'
const term = new headless.Terminal({ cols: 80, rows: 24, allowProposedApi: true })
const line = (y) => term.buffer.active.getLine(y)?.translateToString(true)
setInterval(() => term.input('echo "hel"lo\\r'), 300)
term.onWriteParsed(() => { for (let y = 0; y < 24; y++) if (line(y) === 'hello') console.log('it says hello') })
`

test('terminals: the example for JavaScript shows in xterm.js what is typed there', async () => {
  const code = SCREEN + (await block('terminals.md', 'js'))
  expect(await runScript('terminals', code, 'it says hello')).toContain('it says hello')
})

/** A line, and the end of input. */
const RECORDED = Buffer.from('recorded\n\u0004').toString('base64')

test('terminals: the example for Python records until the end', async (context) => {
  needsGrpc(context)
  const terminal = await open(daemon.url, 'terminals.v1.Terminals/Open', { name: 'main', cmd: 'cat' })
  const code = `import os; os.chdir(${JSON.stringify(work)})\n${await block('terminals.md', 'python')}`
  const recorded = runPython(code, ['terminals/v1/terminals.proto'])
  await vi.waitFor(
    async () =>
      expect(JSON.stringify(await call(daemon.url, 'activity.v1.Activity/Get', {}))).toContain('Terminals/Record'),
    { timeout: 30_000 },
  )
  await runShell(`curl -s -H 'content-type: application/json' -d '{"terminal":{"name":"main"},"data":"${RECORDED}"}' \
    localhost:${DAEMON_PORT}/terminals.v1.Terminals/Write`)
  await recorded
  await terminal.rest()
  const [head = '', ...events] = (await readFile(join(work, 'main.cast'), 'utf8')).trim().split('\n')
  expect(JSON.parse(head)).toMatchObject({ version: 2 })
  expect(events.map((line) => JSON.parse(line)[2]).join('')).toContain('recorded')
})

test('activity: the examples for curl show a busy sandbox', async () => {
  await startBuild('while :; do echo .; sleep 0.05; done')
  const printed = await runShell(await block('activity.md', 'sh'))
  expect(printed).toContain('"status":{')
  expect(printed).toContain('"idle_seconds":')
  expect(printed).toContain('envd_idle_seconds ')
})

test('activity: the example for JavaScript prints the state when it comes', async () => {
  expect(await runScript('activity', await block('activity.md', 'js'), '\n')).toMatch(/^(busy|idle) \[/)
})

test('activity: the example for Python asks for the idle time', async (context) => {
  needsGrpc(context)
  const code = (await block('activity.md', 'python')).replace('> 300', '>= 0')
  expect(await runPython(code, ['activity/v1/activity.proto'])).toMatch(/^pause it: idle since \d{4}-/)
})
