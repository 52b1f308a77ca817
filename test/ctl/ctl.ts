import { spawn as spawnChild } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { vi } from 'vitest'
import { close, openTerminal, read, resizeTerminal, spawn, write } from '../../src/native/index.ts'
import { ended, ready } from '../native/run-process.ts'

export const LAUNCHER = fileURLToPath(new URL('../../scripts/envd', import.meta.url))

/** What a client wrote, and its exit code: 128 and the number for a signal. */
export interface Ran {
  readonly code: number
  readonly stdout: Buffer
  readonly stderr: string
}

interface Options {
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  /** When its output says so, it gets SIGINT. */
  readonly until?: (stdout: string) => boolean
}

/** Runs `envd ctl` against a daemon, to its end. */
export async function ctl(
  url: string,
  args: readonly string[],
  { input = '', env, until }: Options = {},
): Promise<Ran> {
  const child = spawnChild(LAUNCHER, ['ctl', ...args], {
    env: { PATH: process.env['PATH'] ?? '', ENVD_URL: url, ...env },
    stdio: 'pipe',
  })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (chunk: Buffer) => {
    out.push(chunk)
    if (until?.(Buffer.concat(out).toString()) === true) child.kill('SIGINT')
  })
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  child.stdin.on('error', () => {}).end(input)
  const [code] = await once(child, 'close')
  return {
    code: typeof code === 'number' ? code : -1,
    stdout: Buffer.concat(out),
    stderr: Buffer.concat(err).toString(),
  }
}

/** A client in a pseudo terminal of 80 columns and 24 rows. */
export interface Terminal {
  /** Everything that it showed so far. */
  shown(): string
  /** Resolves when that was shown. */
  shows(text: string | RegExp): Promise<void>
  type(text: string): void
  resize(columns: number, rows: number): void
  /** Its exit code; 128 and the number for a signal. */
  readonly ended: Promise<number>
}

/** Starts `envd ctl` in a pseudo terminal. It must end in the test. */
export async function ctlInTerminal(url: string, args: readonly string[]): Promise<Terminal> {
  const [master, slave] = openTerminal(80, 24)
  const env = [`PATH=${process.env['PATH']}`, `ENVD_URL=${url}`, 'TERM=xterm']
  const spec = { file: LAUNCHER, args: ['ctl', ...args], env, cwd: '/', terminal: true } as const
  const child = await spawn({ ...spec, stdio: [slave, slave, slave] })
  let shown = ''
  const reading = (async () => {
    const buffer = Buffer.alloc(65_536)
    for (;;) {
      await ready(master)
      const length = read(master, buffer, 0, buffer.length)
      if (length <= 0 && length !== -11) return
      if (length > 0) shown += buffer.toString('utf8', 0, length)
    }
  })()
  const end = ended(child).then(async (status) => {
    close(slave)
    await reading
    close(master)
    return 'exitCode' in status ? status.exitCode : 128 + status.signal
  })
  const holds = (text: string | RegExp) => (typeof text === 'string' ? shown.includes(text) : text.test(shown))
  return {
    shown: () => shown,
    shows: async (text) => {
      await vi
        .waitUntil(() => holds(text), { timeout: 15_000 })
        .catch(() => {
          throw new Error(`not shown: ${text}; but: ${JSON.stringify(shown)}`)
        })
    },
    type: (text) => {
      const bytes = Buffer.from(text)
      write(master, bytes, 0, bytes.length)
    },
    resize: (columns, rows) => resizeTerminal(master, columns, rows),
    ended: end,
  }
}
