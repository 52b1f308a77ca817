import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { pidOf, shell, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { connect, list, sendInput } from '../process/calls.ts'
import { LAUNCHER } from './variant.ts'

beforeEach(needsNamespace)

const project = fileURLToPath(new URL('../..', import.meta.url))

const text = (path: string) => readFile(path, 'utf8').catch(() => '')
const nameOf = async (pid: number) => (await text(`/proc/${pid}/comm`)).trim()
const childrenOf = async (pid: number) =>
  (await text(`/proc/${pid}/task/${pid}/children`)).split(' ').map(Number).filter(Boolean)

/** The process of that name below another. */
async function below(pid: number, name: string): Promise<number> {
  for (const child of await childrenOf(pid)) {
    const found = (await nameOf(child)) === name ? child : await below(child, name)
    if (found !== 0) return found
  }
  return 0
}

/** A daemon that is started by such a command. Disposing ends its keeper, which is what ends all of it. */
async function launch(file: string, args: readonly string[]) {
  const dir = await makeTmpDir()
  const own = ['-port', '0', '-run-dir', dir.path, '-upload-dir', `${dir.path}/uploads`, '-kill-on-exit', '-isnotfc']
  const child = spawn(file, [...args, ...own, '-address', '127.0.0.1'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: project,
  })
  const ended = once(child, 'exit')
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    output += more
  })
  const url = () => /listening on (http:\S+)/.exec(output)?.[1] ?? ''
  await expect.poll(url, { timeout: 60_000 }).not.toBe('')
  const keeper = await below(child.pid ?? 0, 'envd-keeper')
  return {
    url: url(),
    keeper,
    ended,
    daemon: () => below(keeper, 'envd'),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      if (child.exitCode === null) process.kill(keeper, 'SIGTERM')
      await ended
      await dir[Symbol.asyncDispose]()
    },
  }
}

const report = async (url: string) => JSON.parse((await sendWhole(`${url}/upgrade/status`)).text)

test.each([
  ['as process 1 of a container', 'unshare', ['--fork', '--pid', '--mount-proc', '--kill-child', LAUNCHER], '1'],
  ['by npm start', 'npm', ['start', '--'], undefined],
] as const)(
  'a daemon that is started %s comes back after a crash and an upgrade, with its commands',
  async (_, file, args, inner) => {
    await using daemon = await launch(file, args)
    const { url, keeper } = daemon
    if (inner !== undefined)
      expect(await text(`/proc/${keeper}/status`)).toMatch(new RegExp(`^NSpid:.*\\t${inner}$`, 'm'))
    const script = 'while read line; do echo "got $line"; [ "$line" = end ] && exit 7; done; exit 9'
    const pid = await pidOf(await start(url, 'sh', { args: ['-c', script], tag: 'reader' }))
    // Its children outlive it and end later, as those of whom process 1 is the parent.
    await shell(url, 'for i in 1 2 3; do (sleep 0.2; exit 4) & done >/dev/null 2>&1')
    const first = await daemon.daemon()
    process.kill(first, 'SIGKILL')
    expect((await sendWhole(`${url}/health`)).status).toBe(204)
    const second = await daemon.daemon()
    expect([0, first]).not.toContain(second)
    expect(await list(url)).toMatchObject([{ pid, tag: 'reader' }])
    await sendInput(url, { pid }, { stdin: 'one\n' })

    const headers = { 'x-envd-upgrade-bundle': 'body' }
    await expect(sendWhole(`${url}/upgrade`, { method: 'POST', headers })).rejects.toMatchObject({ code: 'ECONNRESET' })
    await expect.poll(() => report(url)).toMatchObject({ state: 'upgraded' })
    expect([0, first, second]).not.toContain(await daemon.daemon())
    const again = await connect(url, { pid })
    await sendInput(url, { pid }, { stdin: 'end\n' })
    expect((await transcript(again)).end).toMatchObject({ exitCode: 7 })
    // The keeper is still who started all of them, and has reaped what has ended.
    expect(await nameOf(keeper)).toBe('envd-keeper')
    const states = async () =>
      Promise.all((await childrenOf(keeper)).map(async (child) => (await text(`/proc/${child}/stat`)).includes(') Z ')))
    await expect.poll(states).toEqual([false])
    process.kill(keeper, 'SIGTERM')
    expect(await daemon.ended).toEqual([0, null])
  },
  90_000,
)
