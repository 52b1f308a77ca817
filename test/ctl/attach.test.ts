import { expect, test } from 'vitest'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { draw, emulator } from '../terminals/drawn.ts'
import { breakableProxy } from './breakable-proxy.ts'
import { ctl, ctlInTerminal, type Terminal } from './ctl.ts'

/** Little output is kept, so that a client can miss some. */
const daemon = sharedDaemon({ args: ['-output-window', '262144'] })
const ENTER = '\r'
const DETACH = '\x1d'

/** What begins a screen: what was shown has moved up, and the rest is erased. */
const NEW_SCREEN = '\x1b[H\x1b[2J'

const listed = async () => (await ctl(daemon.url, ['terminals', '-q'])).stdout.toString().split('\n')

/** The last lines that a terminal like that of the client shows, without empty ones. */
async function seen({ shown }: Terminal): Promise<string[]> {
  const terminal = emulator(80, 24)
  await draw(terminal, shown())
  const { active } = terminal.buffer
  const rows = Array.from(
    { length: active.length },
    (_, row) => active.getLine(row)?.translateToString(true).trimEnd() ?? '',
  )
  return rows.filter((row) => row !== '')
}

test('attach shows the screen first, then what comes, passes keys on, and the detach key leaves it running', async () => {
  const owner = await ctlInTerminal(daemon.url, ['run', '-t', '--tag', 'shell', '-e', 'PS1=$ ', 'sh'])
  await owner.shows('$ ')
  owner.type(`echo $((6*7))${ENTER}`)
  await owner.shows('\n42\r\n')
  const guest = await ctlInTerminal(daemon.url, ['attach', 'shell'])
  await guest.shows('\n42\r\n')
  expect(await seen(guest)).toEqual(['$ echo $((6*7))', '42', '$'])
  guest.type(`echo $((7*8))${ENTER}`)
  await owner.shows('\n56\r\n')
  await guest.shows('56\r\n')
  guest.type(DETACH)
  expect(await guest.ended).toBe(0)
  expect(await listed()).toContain('shell')
  owner.type(`exit 9${ENTER}`)
  expect(await owner.ended).toBe(9)
})

test('attach --open starts a terminal, of the size of this one, and passes its end on', async () => {
  const first = await ctlInTerminal(daemon.url, ['attach', '--open', 'opened'])
  await first.shows(/[$#] /)
  first.type(`stty size${ENTER}`)
  await first.shows('24 80')
  first.resize(100, 30)
  await expect
    .poll(() => {
      first.type(`stty size${ENTER}`)
      return first.shown()
    })
    .toContain('30 100')
  const second = await ctlInTerminal(daemon.url, ['attach', '-o', 'opened'])
  await second.shows(NEW_SCREEN)
  const { stdout } = await ctl(daemon.url, ['terminals'])
  expect(stdout.toString()).toMatch(/ opened +80x24 +2 +bash/)
  const { stdout: json } = await ctl(daemon.url, ['terminals', '--json'])
  const all = json
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(all).toContainEqual(expect.objectContaining({ name: 'opened', clients: 2 }))
  second.type(`exit 8${ENTER}`)
  expect(await second.ended).toBe(8)
  expect(await first.ended).toBe(8)
})

test('a client that leaves has the terminal as it was: cooked, on the normal screen, without modes', async () => {
  const script = 'printf "\\033[?1049h\\033[?1000h\\033[?25lfull"; exec cat'
  await ctl(daemon.url, ['run', '-d', '-t', '--tag', 'modes', 'sh', '-c', script])
  const client = await ctlInTerminal(daemon.url, ['attach', 'modes'])
  await client.shows('full')
  client.type(DETACH)
  expect(await client.ended).toBe(0)
  const terminal = emulator(80, 24)
  await draw(terminal, client.shown())
  expect([terminal.buffer.active.type, terminal.modes.mouseTrackingMode]).toEqual(['normal', 'none'])
  expect(client.shown().lastIndexOf('\x1b[!p')).toBeGreaterThan(client.shown().lastIndexOf('\x1b[?25l'))
  await ctl(daemon.url, ['kill', '--grace', '1', 'modes'])
})

test('attach goes on after a cut with the output that it has missed, and with a new screen where that is not kept', async () => {
  using proxy = await breakableProxy(daemon.port)
  await ctl(daemon.url, [
    'run',
    '-d',
    '-t',
    '--tag',
    'cut',
    'sh',
    '-c',
    'stty -echo; echo up; while read x; do eval "$x"; done',
  ])
  const client = await ctlInTerminal(proxy.url, ['attach', 'cut'])
  await client.shows('up')
  const other = await ctlInTerminal(daemon.url, ['attach', 'cut'])
  await other.shows('up')
  await proxy.cut(async () => {
    other.type(`echo missed${ENTER}`)
    await other.shows('missed')
  })
  await client.shows('missed')
  client.type(`echo again${ENTER}`)
  await client.shows('again')
  expect(client.shown().split(NEW_SCREEN)).toHaveLength(2)
  expect(await seen(client)).toEqual(['up', 'missed', 'again'])
  await proxy.cut(async () => {
    other.type(`seq 100000; echo end${ENTER}`)
    await other.shows('\nend\r\n')
  })
  await client.shows('\nend\r\n')
  expect(client.shown().split(NEW_SCREEN)).toHaveLength(3)
  expect((await seen(client)).slice(-2)).toEqual(['100000', 'end'])
  client.type(DETACH)
  other.type(DETACH)
  expect([await client.ended, await other.ended]).toEqual([0, 0])
  await ctl(daemon.url, ['kill', '--grace', '1', 'cut'])
})

test('with --takeover only this client writes: the others hear a bell', async () => {
  const first = await ctlInTerminal(daemon.url, ['attach', '-o', 'taken'])
  await first.shows(/[$#] /)
  const second = await ctlInTerminal(daemon.url, ['attach', '--takeover', 'taken'])
  await second.shows(NEW_SCREEN)
  first.type('x')
  await first.shows('\x07')
  second.type(`exit 3${ENTER}`)
  expect(await first.ended).toBe(3)
  expect(await second.ended).toBe(3)
})

test('as JSON attach has the messages', async () => {
  await ctl(daemon.url, ['run', '-d', '-t', '--tag', 'messages', 'sh', '-c', 'echo up; read x; exit 6'])
  let typed: Promise<unknown> | undefined
  const until = (text: string) => {
    if (text.includes('"screen"')) typed ??= ctl(daemon.url, ['kill', 'messages'])
    return false
  }
  const { code, stdout } = await ctl(daemon.url, ['attach', '--json', 'messages'], { until })
  await typed
  const kinds = stdout
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => Object.keys(JSON.parse(line))[0])
  expect([kinds[0], kinds[1], kinds.at(-1), code]).toEqual(['attached', 'screen', 'end', 143])
})
