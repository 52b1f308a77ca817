import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { blocksOf, runShell } from './examples.ts'
import { DAEMON_PORT } from './proxies.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))

let daemon: Daemon
/** Where the examples are run. */
let work: string | undefined
let env: NodeJS.ProcessEnv

/** A daemon at the port of the examples, `envd` and `buf` in the path, a project here and an app in the sandbox. */
beforeEach(async (context) => {
  needsNamespace(context)
  for (const tool of ['jq', 'curl']) if (!existsSync(`/usr/bin/${tool}`)) context.skip(`needs ${tool}`)
  const made = await mkdtemp(join(tmpdir(), 'examples-'))
  work = made
  await mkdir(join(made, 'bin'))
  await symlink(join(PROJECT, 'scripts/envd'), join(made, 'bin/envd'))
  const path = [join(made, 'bin'), join(PROJECT, 'node_modules/.bin'), process.env['PATH']].join(':')
  env = { PATH: path, HOME: made }
  await mkdir(join(made, 'project/node_modules'), { recursive: true })
  await writeFile(join(made, 'project/a.txt'), 'a')
  await writeFile(join(made, 'project/.gitignore'), 'node_modules/\n')
  await mkdir('/app', { recursive: true })
  await writeFile('/app/config.py', '# TODO\ndebug = True\n')
  daemon = await startDaemon({ port: DAEMON_PORT })
})
afterEach(async () => {
  // Only what is the namespace's own may be removed.
  if (work === undefined) return
  await daemon?.[Symbol.asyncDispose]()
  for (const path of [work, '/app', '/home/user/project', '/data', '/data-copy'])
    await rm(path, { recursive: true, force: true })
})

/** The example with those words in it, as it stands on the page. */
async function example(page: string, words: string): Promise<string> {
  const found = (await blocksOf(page, 'sh')).find((code) => code.includes(words))
  if (found === undefined) throw new Error(`${page} has no example with ${words}`)
  return found
}

const here = () => work ?? ''
const run = (code: string) => runShell(`cd ${here()}\n${code}`, env)

test('files for agents: an agent edits safely, sees the diff and takes it back', async () => {
  const printed = await run(await example('files-service.md', '$files/$1'))
  expect(printed).toContain('-debug = True\n+debug = False\n')
  expect(printed).toContain('+++ b/app/NOTES\n')
  expect(await readFile('/app/config.py', 'utf8')).toBe('# TODO\ndebug = True\n')
  expect(existsSync('/app/NOTES')).toBe(false)
})

test('files for agents: what has changed since a token', async () => {
  const answer = JSON.parse(await run(await example('files-service.md', '/Changes;')))
  expect(answer).toMatchObject({ changes: [{ path: 'new', types: expect.arrayContaining(['EVENT_TYPE_CREATE']) }] })
})

test('files for agents: a search with buf', async (context) => {
  if (!existsSync(join(PROJECT, 'node_modules/.bin/buf'))) context.skip('needs buf')
  const code = await example('files-service.md', 'buf curl')
  expect(await run(code.replace('--schema proto', `--schema ${join(PROJECT, 'proto')}`))).toMatch(/"text": *"# TODO"/)
})

test('envd ctl: a project goes in, a directory comes out, and one is copied in the sandbox', async () => {
  await mkdir('/data')
  await writeFile('/data/x', 'x')
  const [first = '', ...others] = (await example('ctl.md', 'envd ctl cp -r --exclude')).split('\n')
  await run(first)
  expect((await readdir('/home/user/project')).sort()).toEqual(['.gitignore', 'a.txt'])
  await mkdir('/home/user/project/dist')
  await writeFile('/home/user/project/dist/built', 'built')
  await run(others.join('\n'))
  expect(await readFile(join(here(), 'dist/built'), 'utf8')).toBe('built')
  expect(await readFile('/data-copy/x', 'utf8')).toBe('x')
})

test('envd ctl: a project is kept the same, and comes back', async () => {
  const [once = '', along = '', back = ''] = (await example('ctl.md', 'envd ctl sync project')).split('\n')
  await run(once)
  expect(execFileSync('diff', ['-r', join(here(), 'project'), '/home/user/project']).toString()).toBe('')
  await writeFile(join(here(), 'project/b.txt'), 'b')
  // Until it is interrupted.
  const until = (condition: string) => `until ${condition}; do sleep 0.1; done`
  await run(`${along} & watching=$!
${until('[ -e /home/user/project/b.txt ]')}
rm project/a.txt
${until('[ ! -e /home/user/project/a.txt ]')}
kill -INT $watching; wait $watching || [ $? = 130 ]`)
  await writeFile('/home/user/project/c.txt', 'c')
  await run(back)
  expect((await readdir(join(here(), 'project'))).sort()).toEqual(['.gitignore', 'b.txt', 'c.txt', 'node_modules'])
})
