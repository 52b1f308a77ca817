import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { spawn as spawnInTerminal } from 'node-pty'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ControlPlane, startControlPlane } from './control-plane.ts'

const require = createRequire(import.meta.url)

let plane: ControlPlane
beforeAll(async () => {
  plane = await startControlPlane()
})
afterAll(() => plane[Symbol.asyncDispose]())

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A release of the CLI. */
function cliOf(name: string) {
  const manifest = require.resolve(`${name}/package.json`)
  const { version, bin }: { version: string; bin: { e2b: string } } = JSON.parse(readFileSync(manifest, 'utf8'))
  const program = join(dirname(manifest), bin.e2b)
  const env = () => ({
    PATH: process.env['PATH'] ?? '',
    HOME: '/tmp',
    TERM: 'xterm-256color',
    NO_COLOR: '1',
    ...plane.env,
  })
  const run = (args: readonly string[]) =>
    new Promise<Ran>((resolve) => {
      const child = execFile(
        process.execPath,
        [program, 'sandbox', ...args],
        { env: env() },
        (error, stdout, stderr) => {
          resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 255, stdout, stderr })
        },
      )
      // `exec` passes on what is piped to it, and waits for its end.
      child.stdin?.end()
    })
  const piped = async (args: readonly string[], input: Buffer) => {
    const child = spawn(process.execPath, [program, 'sandbox', ...args], {
      env: env(),
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    const [chunks] = await Promise.all([child.stdout.toArray(), once(child, 'close')])
    return Buffer.concat(chunks).toString()
  }
  return {
    version,
    run,
    piped,
    inTerminal: (args: readonly string[]) => terminalOf([program, 'sandbox', ...args], env()),
  }
}

/** A program in a terminal of its own, with what it showed so far. */
function terminalOf(args: string[], env: Record<string, string>) {
  const terminal = spawnInTerminal(process.execPath, args, { cols: 80, rows: 24, env })
  let shown = ''
  terminal.onData((data) => {
    shown += data
  })
  const ended = new Promise<number>((resolve) => terminal.onExit(({ exitCode }) => resolve(exitCode)))
  let at = 0
  return {
    ended,
    type: (text: string) => terminal.write(text),
    resize: (columns: number, rows: number) => terminal.resize(columns, rows),
    /** Waits until that is shown, after what was waited for before. */
    see: async (wanted: RegExp | string) => {
      const pattern = typeof wanted === 'string' ? new RegExp(wanted.replace(/[[?]/g, '\\$&')) : wanted
      await expect
        .poll(() => shown.slice(at), { timeout: 20_000, message: `to see ${pattern} in ${JSON.stringify(shown)}` })
        .toMatch(pattern)
      const found = pattern.exec(shown.slice(at))
      at += (found?.index ?? 0) + (found?.[0].length ?? 0)
    },
  }
}

type Terminal = ReturnType<typeof terminalOf>

const PROMPT = /[$#] /
// How programs that use the whole screen ask for it, and give it back.
const FULL_SCREEN = '\x1b[?1049h'
const BACK_AGAIN = '\x1b[?1049l'

/** What a user does in a terminal: types, resizes, interrupts, looks at a file on the whole screen. */
async function useTerminal(terminal: Terminal): Promise<void> {
  await terminal.see(PROMPT)
  terminal.type('echo $((6 * 7))\r')
  await terminal.see(/[\r\n]42\r/)
  await terminal.see(PROMPT)
  terminal.resize(101, 33)
  // The size is told to the sandbox a moment after the resize.
  terminal.type('until [ "$(stty size)" = "33 101" ]; do sleep 0.1; done; echo resized-$?\r')
  await terminal.see(/[\r\n]resized-0/)
  await terminal.see(PROMPT)
  terminal.type('echo waiting; sleep 1000\r')
  await terminal.see(/[\r\n]waiting\r/)
  terminal.type('\x03')
  await terminal.see(PROMPT)
  terminal.type('echo interrupted-$?\r')
  await terminal.see(/[\r\n]interrupted-130/)
  await terminal.see(PROMPT)
  terminal.type('seq 1000 >lines; TERM=xterm less lines\r')
  await terminal.see(FULL_SCREEN)
  await terminal.see(/\n32\r/)
  terminal.type('G')
  await terminal.see(/1000\r/)
  terminal.type('q')
  await terminal.see(BACK_AGAIN)
  await terminal.see(PROMPT)
}

describe.each(['@e2b/cli', 'e2b-cli-2.10'])('the CLI %s', (name) => {
  const cli = cliOf(name)
  let id = ''
  beforeAll(async () => {
    const response = await fetch(`${plane.apiUrl}/v2/sandboxes`, {
      method: 'POST',
      headers: { 'x-api-key': 'any', 'content-type': 'application/json' },
      body: JSON.stringify({ templateID: 'base', metadata: { made: 'for-the-cli' } }),
    })
    id = ((await response.json()) as { sandboxID: string }).sandboxID
  })

  test('create opens a terminal, and its exit ends the sandbox', async () => {
    const before = (await cli.run(['list'])).stdout
    const terminal = cli.inTerminal(['create', 'base'])
    await useTerminal(terminal)
    terminal.type('echo "id $E2B_SANDBOX_ID."\r')
    await terminal.see(/[\r\n]id i\w+\./)
    terminal.type('exit\r')
    expect(await terminal.ended).toBe(0)
    await expect.poll(async () => (await cli.run(['list'])).stdout, { timeout: 20_000 }).toBe(before)
  })

  test('connect: type, resize, interrupt, full screen, exit; the sandbox lives on', async () => {
    const terminal = cli.inTerminal(['connect', id])
    await useTerminal(terminal)
    terminal.type('exit\r')
    expect(await terminal.ended).toBe(0)
    expect((await cli.run(['exec', id, 'cat lines | tail -n 1'])).stdout).toBe('1000\n')
  })

  test('list and info report it', async () => {
    expect((await cli.run(['list'])).stdout).toContain(id)
    expect((await cli.run(['info', id])).stdout).toMatch(new RegExp(`${id}[^]*for-the-cli`))
  })

  test('exec passes output and exit code on', async () => {
    expect(await cli.run(['exec', id, 'echo out; echo err >&2; exit 3'])).toMatchObject({
      code: 3,
      stdout: 'out\n',
      stderr: expect.stringContaining('err'),
    })
  })

  test('exec takes 1 MB from a pipe', async () => {
    expect((await cli.piped(['exec', id, 'wc -c'], Buffer.alloc(1_000_000, 'x'))).trim()).toBe('1000000')
  })

  test('exec -b leaves the command running', async () => {
    const ran = await cli.run(['exec', '-b', id, 'sleep 1 && touch background-was-here'])
    expect(ran).toMatchObject({ code: 0, stderr: expect.stringMatching(/\d+/) })
    const there = async () => (await cli.run(['exec', id, 'ls'])).stdout
    await expect.poll(there, { timeout: 20_000 }).toContain('background-was-here')
  })

  test('metrics and logs answer from the daemon', async () => {
    await expect
      .poll(async () => (await cli.run(['metrics', id])).stdout, { timeout: 20_000 })
      .toMatch(/CPU:.*Memory:.*Disk:/)
    expect((await cli.run(['logs', '--level', 'DEBUG', id])).stdout).toContain('process_start')
  })

  test('kill ends it', async () => {
    expect(await cli.run(['kill', id])).toMatchObject({ code: 0 })
    expect((await cli.run(['list'])).stdout).not.toContain(id)
  })
})
