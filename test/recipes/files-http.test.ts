import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { blocksOf, runScript, runShell } from './examples.ts'
import { DAEMON_PORT } from './proxies.ts'

const TOKEN = 'recipe-token'
const HOME = '/home/user'
/** What stands in for GitHub, which this machine need not reach: everything else goes to the real curl. */
const GITHUB = `curl() { case "$*" in *github.com*) cat github.tar.gz ;; *) command curl "$@" ;; esac; }\n`
/** The SDK, connected to the daemon as the platform would: only the signed URLs are asked of it. */
const SANDBOX = `import { Sandbox } from 'e2b'
import * as tus from 'tus-js-client'
import { createReadStream, readFileSync } from 'node:fs'
const sandbox = new Sandbox({ sandboxId: 'recipe', debug: true, envdAccessToken: '${TOKEN}', envdVersion: '0.4.0' })
`

let daemon: Daemon
let work: string

/** A daemon with a token at the port of the examples, and a directory with a project in which they run. */
beforeEach(async (context) => {
  needsNamespace(context)
  work = await mkdtemp(join(tmpdir(), 'recipes-'))
  await mkdir(join(work, 'project/node_modules'), { recursive: true })
  await writeFile(join(work, 'project/main.js'), 'main')
  await writeFile(join(work, 'project/.gitignore'), 'dist\n')
  await writeFile(join(work, 'project/node_modules/big'), 'big')
  execFileSync('tar', ['-czf', join(work, 'github.tar.gz'), '-C', work, 'project'])
  daemon = await startDaemon({ port: DAEMON_PORT })
  const body = JSON.stringify({ defaultUser: 'user', accessToken: TOKEN })
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body })).status).toBe(204)
})
afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]()
  if (work !== undefined) await rm(work, { recursive: true })
})

async function block(language: 'sh' | 'js', index: number): Promise<string> {
  const code = (await blocksOf('files.md', language))[index]
  if (code === undefined) throw new Error('docs/files.md has no such example')
  return code
}

/** Runs shell code in the directory, with the variables that the examples name. */
function shell(code: string): Promise<string> {
  return runShell(`cd "$WORK"\n${GITHUB}${code}`, { WORK: work, TOKEN, URL: daemon.url })
}

/** Runs JavaScript that has a sandbox, and prints what `then` says. */
function script(name: string, code: string, then = ''): Promise<string> {
  return runScript(`files-http-${name}`, `${SANDBOX}${code}\n${then}`)
}

test('put a project in: without what is excluded, and from GitHub without its first directory', async () => {
  await shell(await block('sh', 0))
  expect(await readFile(`${HOME}/project/main.js`, 'utf8')).toBe('main')
  expect(execFileSync('ls', ['-A', `${HOME}/project`], { encoding: 'utf8' })).toBe('.gitignore\nmain.js\n')
  expect(await readFile(`${HOME}/repo/main.js`, 'utf8')).toBe('main')
  expect(execFileSync('stat', ['-c', '%U', `${HOME}/repo/main.js`], { encoding: 'utf8' })).toBe('user\n')
})

test('get a directory out: without what git would not take', async () => {
  await shell(await block('sh', 0))
  execFileSync('sh', [
    '-c',
    `mkdir ${HOME}/project/dist && echo built >${HOME}/project/dist/x && mkdir "$1/out"`,
    'sh',
    work,
  ])
  await shell(`cd out\n${await block('sh', 1)}`)
  expect(execFileSync('ls', ['-A', join(work, 'out')], { encoding: 'utf8' })).toBe('.gitignore\nmain.js\n')
})

test('edit safely: the tag lets one change through, and not a second one by the same tag', async () => {
  const put = `curl -s -H "x-access-token: $TOKEN" -H 'content-type: application/octet-stream' --data-binary '{}' "$URL/files?path=/app/config.json"\n`
  await shell(`mkdir -p /app && chown user /app\n${put.replaceAll('$TOKEN', TOKEN)}`)
  const code = (await block('sh', 2)).replace(/^# … .*$/m, 'echo \'{"a":1}\' >config.json')
  expect(await shell(code)).toContain('/app/config.json')
  expect(await readFile('/app/config.json', 'utf8')).toBe('{"a":1}\n')
  const late = code.replace('{"a":1}', '{"a":2}').replace(/^echo/m, `${put}echo`)
  expect(await shell(late)).toContain('"code":412')
  expect(await readFile('/app/config.json', 'utf8')).toBe('{}')
})

test('a signed URL takes an archive, and gives one', async () => {
  const archive = `const archive = readFileSync('${work}/github.tar.gz')\n`
  const put = (await block('js', 1)).replace('application/x-tar', 'application/gzip')
  await script('put', archive + put)
  expect(await readFile(`${HOME}/project/project/main.js`, 'utf8')).toBe('main')
  const then = `const answer = await fetch(url + '&format=tar.gz'); console.log(answer.status, answer.headers.get('content-type'))`
  expect(await script('get', await block('js', 2), then)).toBe('200 application/gzip\n')
})

test('a resumable upload by a signed URL', async () => {
  const before = `const file = createReadStream('${work}/github.tar.gz')\nconst onSuccess = () => console.log('done')\n`
  expect(await script('tus', before + (await block('js', 0)), undefined)).toBe('done\n')
  expect(await readFile(`${HOME}/big.bin`)).toEqual(await readFile(join(work, 'github.tar.gz')))
})
