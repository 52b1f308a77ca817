import { fstatSync } from 'node:fs'
import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { changeOwner, close, openTerminal, read, resizeTerminal, spawn, write } from '../../src/native/index.ts'
import { needsRoot } from '../_util/namespace.ts'
import { ended, plainSpec, readAll } from './run-process.ts'

/** Runs a script on a terminal: all output until the hang-up. */
async function onTerminal(script: string, columns = 80, rows = 24): Promise<string> {
  const [master, slave] = openTerminal(columns, rows)
  const child = await spawn({
    ...plainSpec,
    file: 'sh',
    args: ['-c', script],
    stdio: [slave, slave, slave],
    terminal: true,
  })
  close(slave)
  const output = await readAll(master)
  close(master)
  expect(await ended(child)).toEqual({ exitCode: 0 })
  return output
}

test('the size is right at the first stty, and each dimension is cut to 16 bits', async () => {
  expect(await onTerminal('stty size', 132, 43)).toBe('43 132\r\n')
  expect(await onTerminal('stty size', 65536 + 5, 65536 + 7)).toBe('7 5\r\n')
})

test('D65 the command leads a session with the terminal as controlling terminal, in the foreground', async () => {
  const output = await onTerminal(
    'ps -o pid=,sid=,pgid=,tpgid= -p $$; tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ]; : >/dev/tty',
  )
  const [ids, tty] = output.trim().split('\r\n')
  expect(new Set(ids?.trim().split(/\s+/)).size).toBe(1)
  expect(tty).toMatch(/^\/dev\/pts\/\d+$/)
})

test('the end of a terminal is EIO, after all of its output', async () => {
  const [master, slave] = openTerminal(80, 24)
  const child = await spawn({
    ...plainSpec,
    file: 'sh',
    args: ['-c', 'head -c 60000 /dev/zero'],
    stdio: [slave, slave, slave],
    terminal: true,
  })
  close(slave)
  expect((await readAll(master)).length).toBe(60_000)
  expect(read(master, Buffer.alloc(10), 0, 10)).toBe(-constants.errno.EIO)
  await ended(child)
  expect(() => resizeTerminal(master, 10, 10)).not.toThrow()
  close(master)
  expect(() => resizeTerminal(master, 10, 10)).toThrow(expect.objectContaining({ code: 'EBADF' }))
})

test('D69 input is echoed and Ctrl-D ends cat', async () => {
  const [master, slave] = openTerminal(80, 24)
  const child = await spawn({ ...plainSpec, file: 'cat', stdio: [slave, slave, slave], terminal: true })
  close(slave)
  const input = Buffer.from('hello\r\x04')
  expect(write(master, input, 0, input.length)).toBe(input.length)
  expect(await readAll(master)).toBe('hello\r\nhello\r\n')
  expect(await ended(child)).toEqual({ exitCode: 0 })
  close(master)
})

test('D65 the slave can be given to the user, who can then open it by name', async (context) => {
  needsRoot(context)
  const [master, slave] = openTerminal(80, 24)
  changeOwner(slave, 65534, 5)
  expect(fstatSync(slave)).toMatchObject({ uid: 65534, gid: 5 })
  const user = { uid: 65534, gid: 65534, groups: [] }
  const script = 'echo written >"$(tty)"'
  const child = await spawn({
    ...plainSpec,
    file: 'sh',
    args: ['-c', script],
    stdio: [slave, slave, slave],
    terminal: true,
    user,
  })
  close(slave)
  expect(await readAll(master)).toBe('written\r\n')
  await ended(child)
  close(master)
})

test('a resize is seen by the command, with its signal', async () => {
  const [master, slave] = openTerminal(80, 24)
  const script = 'trap "stty size; exit 0" WINCH; echo ready; while :; do sleep 0.05; done'
  const child = await spawn({
    ...plainSpec,
    file: 'sh',
    args: ['-c', script],
    stdio: [slave, slave, slave],
    terminal: true,
  })
  close(slave)
  const buffer = Buffer.alloc(100)
  await expect.poll(() => read(master, buffer, 0, 100)).toBe('ready\r\n'.length)
  resizeTerminal(master, 100, 50)
  expect(await readAll(master)).toBe('50 100\r\n')
  await ended(child)
  close(master)
})

test('a master without a writer returns EAGAIN', () => {
  const [master, slave] = openTerminal(80, 24)
  expect(read(master, Buffer.alloc(10), 0, 10)).toBe(-constants.errno.EAGAIN)
  close(master)
  close(slave)
})

test('what is no terminal cannot be resized', () => {
  expect(() => resizeTerminal(0x7fffffff, 1, 1)).toThrow(expect.objectContaining({ code: 'EBADF' }))
})
