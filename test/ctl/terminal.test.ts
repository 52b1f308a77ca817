import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { ctl, ctlInTerminal } from './ctl.ts'

const daemon = commonDaemon()
const ENTER = '\r'

test('run -t is a terminal of the size of this one, with its keys, its changes of size and its exit code', async () => {
  const terminal = await ctlInTerminal(daemon.url, [
    'run',
    '-t',
    'sh',
    '-c',
    'stty size; trap "stty size" WINCH; while :; do read line; [ "$line" = end ] && exit 6; echo "got:$line"; done',
  ])
  await terminal.shows('24 80')
  terminal.type(`word${ENTER}`)
  await terminal.shows('got:word')
  terminal.resize(100, 30)
  await terminal.shows('30 100')
  terminal.type(`end${ENTER}`)
  expect(await terminal.ended).toBe(6)
})

test('Ctrl-C is a key for the program', async () => {
  const terminal = await ctlInTerminal(daemon.url, [
    'run',
    '-t',
    'sh',
    '-c',
    'trap "echo interrupted; exit 4" INT; echo up; while :; do sleep 0.1; done',
  ])
  await terminal.shows('up')
  terminal.type('\x03')
  await terminal.shows('interrupted')
  expect(await terminal.ended).toBe(4)
})

test('what is no terminal cannot be attached to', async () => {
  await ctl(daemon.url, ['run', '-d', '--tag', 'pipes', 'sleep', '1000'])
  const guest = await ctlInTerminal(daemon.url, ['attach', 'pipes'])
  await guest.shows('runs in no terminal')
  expect(await guest.ended).toBe(125)
  await ctl(daemon.url, ['kill', 'pipes'])
})

test('top draws the screen anew with every sample', async () => {
  const terminal = await ctlInTerminal(daemon.url, ['top', '-n', '2'])
  expect(await terminal.ended).toBe(0)
  expect(terminal.shown().split('\x1b[H\x1b[Jcpu ')).toHaveLength(3)
})
