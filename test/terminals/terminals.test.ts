import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'
import { call, open, type ProcessMessage } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { sendInput } from '../process/calls.ts'
import { startedPid } from '../process/following.ts'
import { draw, drawn, emulator } from './drawn.ts'
import { TerminalClient } from './terminal-client.ts'

const daemon = sharedDaemon()
const terminals = (method: string, message: object) => call(daemon.url, `terminals.v1.Terminals/${method}`, message)
const size = (columns: number, rows: number) => ({ columns, rows })
const write = (name: string, client: number, text: string) =>
  terminals('Write', { terminal: { name }, client, data: Buffer.from(text).toString('base64') })

/** Opens a terminal that runs a script of a shell. */
function opened(name: string, script: string, more: object = {}): Promise<TerminalClient> {
  return TerminalClient.open(daemon.url, 'Open', {
    name,
    command: 'sh',
    args: ['-c', script],
    size: size(80, 24),
    ...more,
  })
}

const attached = (name: string, more: object = {}) =>
  TerminalClient.open(daemon.url, 'Attach', { terminal: { name }, ...more })

/** Attaches, and draws the screen; the client that was there from the beginning takes all that is in it as well. */
async function sameScreens(name: string, first: TerminalClient): Promise<TerminalClient> {
  const second = await attached(name)
  await second.until(() => second.screen !== undefined && second.screen.more !== true)
  await first.until(() => first.next >= second.next)
  expect(drawn(second.emulator)).toEqual(drawn(first.emulator))
  return second
}

const hasLess = spawnSync('less', ['--version']).error === undefined

test('a program in the alternate screen is found again as it was left, cell by cell, and goes on', async () => {
  await using dir = await makeTmpDir()
  await writeFile(`${dir.path}/text`, Array.from({ length: 500 }, (_, line) => `line ${line} wörld 日本\n`).join(''))
  // What less does, for a machine without it.
  const pager = `printf '\\033[?1049h\\033[?1h\\033[2J\\033[H'; head -23 ${dir.path}/text; printf '\\033[7m:\\033[27m'; read x`
  const first = await opened('pager', `echo before; ${hasLess ? `less ${dir.path}/text` : pager}`, {
    envs: { LANG: 'C.UTF-8' },
  })
  expect(first.attached).toMatchObject({ name: 'pager', started: true, size: size(80, 24) })
  await first.until(() => first.text().includes('line 20 '))
  const second = await sameScreens('pager', first)
  expect(second.attached).toMatchObject({ pid: first.attached.pid, name: 'pager' })
  expect(second.attached.started).toBeUndefined()
  expect(second.screen).toMatchObject({ alternate: true })
  first.close()
  await write('pager', second.attached.client, hasLess ? 'G' : '\n')
  if (hasLess) {
    await second.until(() => second.text().includes('line 499 '))
    await write('pager', 0, 'q')
  }
  await second.until(() => second.end !== undefined)
  expect(second.emulator.buffer.active.type).toBe('normal')
  expect(second.text()).toContain('before')
})

test('in a flood no byte is lost or doubled between screen and output, whenever a client attaches', async () => {
  const first = await opened('flood', 'stty -onlcr; seq 1 200000; printf "\\033[31mend"; read x')
  const others: TerminalClient[] = []
  const follow = async () => {
    const other = await attached('flood')
    others.push(other)
    await other.until(() => other.text().includes('end'))
  }
  const joining = (async () => {
    for (let round = 0; round < 5; round++) {
      const at = first.next
      await vi.waitUntil(() => first.next > at || first.text().includes('end'), { timeout: 20_000 })
      await follow()
    }
  })()
  await first.until(() => first.text().includes('end'))
  await joining
  const whole = first.output()
  expect(first.first).toBe(0)
  expect(whole.toString()).toBe(`${Array.from({ length: 200_000 }, (_, at) => `${at + 1}\n`).join('')}\u001b[31mend`)
  for (const other of others) {
    const from = Number(other.screen?.offset ?? 0)
    expect(other.output().equals(whole.subarray(from))).toBe(true)
    expect(drawn(other.emulator)).toEqual(drawn(first.emulator))
    other.close()
  }
  first.close()
  expect((await terminals('Close', { terminal: { name: 'flood' } })).status).toBe(200)
})

test('Open starts one terminal for calls at the same time, List shows it, Close ends it', async () => {
  const all = await Promise.all(
    Array.from({ length: 8 }, () => opened('one', 'printf "\\033]0;named\\007\\033]7;file:///tmp\\007"; cat')),
  )
  expect(new Set(all.map((client) => client.attached.pid)).size).toBe(1)
  expect(all.filter((client) => client.attached.started === true).length).toBe(1)
  expect(new Set(all.map((client) => client.attached.client)).size).toBe(8)
  const list = async () => {
    const { body } = await terminals('List', {})
    return (body as { terminals?: { name?: string }[] }).terminals?.find(({ name }) => name === 'one')
  }
  const wanted = { command: 'sh', size: size(80, 24), clients: 8, title: 'named', cwd: '/tmp' }
  await vi.waitUntil(async () => JSON.stringify(await list()).includes('named'), { timeout: 15_000 })
  expect(await list()).toMatchObject(wanted)
  for (const client of all) if (client !== all[0]) client.close()
  await vi.waitUntil(async () => JSON.stringify(await list()).includes('"clients":1'), { timeout: 15_000 })
  expect((await terminals('Close', { terminal: { name: 'one' } })).status).toBe(200)
  await all[0]?.until(() => all[0]?.end !== undefined)
  expect(await list()).toBeUndefined()
  expect((await terminals('Close', { terminal: { name: 'one' } })).body).toMatchObject({ code: 'not_found' })
})

test('the size follows the newest client, or the smallest, and clients hear of it', async () => {
  const first = await opened('sized', "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done")
  await first.until(() => first.text().includes('up'))
  const second = await attached('sized', { size: size(100, 30) })
  await first.until(() => first.text().includes('30 100'))
  expect(first.resized).toEqual([size(100, 30)])
  const third = await attached('sized', { size: size(60, 40), resizePolicy: 'RESIZE_POLICY_SMALLEST' })
  await first.until(() => first.text().includes('24 60'))
  const resize = { terminal: { name: 'sized' }, client: first.attached.client, size: size(50, 50) }
  expect((await terminals('Resize', resize)).body).toEqual({ size: size(50, 30) })
  await second.until(() => second.text().includes('30 50'))
  third.close()
  first.close()
  await second.until(() => second.resized.at(-1)?.columns === 100)
  expect((await terminals('Resize', resize)).body).toMatchObject({ code: 'not_found' })
  second.close()
  await terminals('Close', { terminal: { name: 'sized' } })
})

test('a client that takes over is the only one that writes, until it leaves', async () => {
  const first = await opened('taken', 'stty -echo; echo up; cat')
  // From here on nothing is echoed.
  await first.until(() => first.text().includes('up'))
  const second = await attached('taken', { takeover: true })
  expect((await write('taken', first.attached.client, 'no\n')).body).toMatchObject({ code: 'failed_precondition' })
  expect((await write('taken', second.attached.client, 'yes\n')).status).toBe(200)
  await first.until(() => first.text().includes('yes'))
  second.close()
  await vi.waitUntil(async () => (await write('taken', first.attached.client, 'again\n')).status === 200, {
    timeout: 15_000,
  })
  await first.until(() => first.text().includes('again'))
  first.close()
  await terminals('Close', { terminal: { name: 'taken' } })
})

test('a client goes on at its offset without a screen, and is refused beyond the output', async () => {
  const first = await opened('resumed', 'stty -echo; echo up; cat')
  // From here on nothing is echoed.
  await first.until(() => first.text().includes('up'))
  await write('resumed', 0, 'one\n')
  await first.until(() => first.text().includes('one'))
  first.close()
  await write('resumed', 0, 'two\n')
  const second = await attached('resumed', { resumeFrom: String(first.next) })
  await second.until(() => second.text().includes('two'))
  expect([second.screen, second.first, second.output().toString()]).toEqual([undefined, first.next, 'two\r\n'])
  const beyond = await open(daemon.url, 'terminals.v1.Terminals/Attach', {
    terminal: { name: 'resumed' },
    resumeFrom: '99999',
  })
  expect((await beyond.rest()).end).toMatchObject({ error: { code: 'invalid_argument' } })
  second.close()
  await terminals('Close', { terminal: { name: 'resumed' } })
})

test('terminals that SDKs have opened are found by pid, and by tag', async () => {
  const { url } = daemon
  const stream = await open<ProcessMessage>(url, 'process.Process/Start', {
    process: { cmd: 'sh', args: ['-c', 'echo from the sdk; cat'] },
    pty: { size: { cols: 70, rows: 20 } },
    tag: 'sdk',
  })
  const pid = await startedPid(stream)
  for (const terminal of [{ pid }, { name: 'sdk' }]) {
    const client = await TerminalClient.open(url, 'Attach', { terminal })
    expect(client.attached).toMatchObject({ pid, name: 'sdk', size: size(70, 20) })
    await client.until(() => client.text().includes('from the sdk'))
    client.close()
  }
  expect((await sendInput(url, { pid }, { pty: '\u0004' })).status).toBe(200)
  expect((await stream.rest()).messages.at(-1)?.event.end).toBeDefined()
})

test('what is no terminal, or asks for none, is refused in words', async () => {
  const { url } = daemon
  const refusal = async (method: string, message: object) =>
    (await (await open(url, `terminals.v1.Terminals/${method}`, message)).rest()).end.error
  const plain = await open<ProcessMessage>(url, 'process.Process/Start', {
    process: { cmd: 'cat' },
    tag: 'plain',
    stdin: true,
  })
  const pid = await startedPid(plain)
  expect(await refusal('Attach', { terminal: { pid } })).toMatchObject({ code: 'failed_precondition' })
  expect(await refusal('Open', { name: 'plain' })).toMatchObject({ code: 'failed_precondition' })
  expect(await refusal('Open', { name: '' })).toMatchObject({ code: 'invalid_argument' })
  expect(await refusal('Open', { name: 'wide', size: size(0, 5) })).toMatchObject({ code: 'invalid_argument' })
  expect(await refusal('Open', { name: 'x', command: '/no/such' })).toMatchObject({ code: 'failed_precondition' })
  expect(await refusal('Attach', { terminal: { name: 'nobody' } })).toMatchObject({ code: 'not_found' })
  expect(await refusal('Attach', {})).toMatchObject({ code: 'invalid_argument' })
  plain.close()
  await call(url, 'process.Process/SendSignal', { process: { pid }, signal: 'SIGNAL_SIGKILL' })
})

test('a recording is an asciicast v2 that begins with the screen and has what comes, sizes included', async () => {
  const first = await opened('recorded', 'stty -echo; printf "\\033[32mgreen\\n"; cat')
  await first.until(() => first.text().includes('green'))
  const recording = await open<{ line?: string }>(daemon.url, 'terminals.v1.Terminals/Record', {
    terminal: { name: 'recorded' },
  })
  const line = async () => JSON.parse(Buffer.from((await recording.next()).line ?? '', 'base64').toString())
  const header = await line()
  expect(header).toMatchObject({ version: 2, width: 80, height: 24, env: { TERM: 'xterm-256color' } })
  expect(Math.abs(header.timestamp - Date.now() / 1000)).toBeLessThan(60)
  const screen = await line()
  expect(screen).toEqual([expect.any(Number), 'o', expect.stringContaining('green')])
  await write('recorded', first.attached.client, 'wörld\n')
  let played = ''
  let time = screen[0]
  while (!played.includes('wörld')) {
    const [at, code, text] = await line()
    expect(at).toBeGreaterThanOrEqual(time)
    expect(code).toBe('o')
    time = at
    played += text
  }
  await terminals('Resize', { terminal: { name: 'recorded' }, client: first.attached.client, size: size(90, 20) })
  await write('recorded', first.attached.client, 'more\n')
  expect((await line()).slice(1)).toEqual(['r', '90x20'])
  recording.close()
  first.close()
  await terminals('Close', { terminal: { name: 'recorded' } })
})

/** Made by `scripts/python-environments`. */
const ASCIINEMA = `${process.cwd()}/.cache/python/asciinema`

function whyNot(): string {
  const reason = `${ASCIINEMA}.unavailable`
  return existsSync(reason) ? readFileSync(reason, 'utf8').trim() : 'scripts/python-environments was not run'
}

test('asciinema plays a recording, to the same screen', async (context) => {
  if (!existsSync(`${ASCIINEMA}/installed.txt`)) context.skip(`no asciinema: ${whyNot()}`)
  await using dir = await makeTmpDir()
  const first = await opened('played', 'stty -echo; printf "\\033[32mgreen\\n"; cat')
  await first.until(() => first.text().includes('green'))
  const recording = await open<{ line?: string }>(daemon.url, 'terminals.v1.Terminals/Record', {
    terminal: { name: 'played' },
  })
  let cast = ''
  const take = async () => {
    cast += Buffer.from((await recording.next()).line ?? '', 'base64').toString()
  }
  await take()
  await take()
  await write('played', 0, '\u001b[1mwörld\u001b[0m\n')
  while (!cast.includes('wörld')) await take()
  recording.close()
  await first.until(() => first.text().includes('wörld'))
  await writeFile(`${dir.path}/a.cast`, cast)
  const env = { ...process.env, LANG: 'C.UTF-8', HOME: dir.path, ASCIINEMA_CONFIG_HOME: dir.path }
  const play = promisify(execFile)(`${ASCIINEMA}/bin/asciinema`, ['play', '-i', '0.1', `${dir.path}/a.cast`], { env })
  const { stdout } = await play
  const replayed = emulator(80, 24)
  await draw(replayed, stdout)
  expect(drawn(replayed).active).toEqual(drawn(first.emulator).active)
  first.close()
  await terminals('Close', { terminal: { name: 'played' } })
})
