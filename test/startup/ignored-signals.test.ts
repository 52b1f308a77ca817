import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { shell } from '../_util/rpc.ts'

/** What Node's inspector listens on. */
const INSPECTOR = 9229

/**
 * What may end it, by SIGTERM's and SIGINT's side: faults; job control stops it; SIGKILL and SIGSTOP cannot be ignored;
 * 33 is glibc's.
 */
const MEANT = new Set(
  [
    ['SIGKILL', 'SIGSTOP', 'SIGTERM', 'SIGINT', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'],
    ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGABRT', 'SIGTRAP', 'SIGSYS'],
  ]
    .flat()
    .map((name) => constants.signals[name as NodeJS.Signals]),
)
const SURVIVED = Array.from({ length: 64 }, (_, i) => i + 1).filter((number) => !MEANT.has(number))

async function inspectorListens(): Promise<boolean> {
  const socket = connect(INSPECTOR, '127.0.0.1')
  const listens = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return listens
}

/** By the shell: Node has no names for some. */
function send(signal: number, pid: number): void {
  const { status } = spawnSync('/bin/sh', ['-c', `kill -${signal} ${pid}`])
  if (status !== 0) throw new Error(`signal ${signal} was not sent`)
}

test('no signal but those that mean it ends the daemon, none opens an inspector, and commands have none of this', async () => {
  await using daemon = await startDaemon()
  for (const signal of SURVIVED) {
    send(signal, daemon.pid)
    expect([signal, (await sendWhole(`${daemon.url}/health`)).status]).toEqual([signal, 204])
  }
  expect(await inspectorListens()).toBe(false)
  const threads = await Promise.all(
    (await readdir(`/proc/${daemon.pid}/task`)).map((id) => readFile(`/proc/${daemon.pid}/task/${id}/comm`, 'utf8')),
  )
  expect(threads.join('')).not.toContain('SignalInspector')
  const { stdout } = await shell(daemon.url, 'grep -E "^Sig(Ign|Blk)" /proc/self/status')
  expect(String(stdout)).toMatch(/^SigBlk:\t0+\nSigIgn:\t0+\n$/)
})

test.each(['--inspect', '--require=/nowhere.js', '--heapsnapshot-signal=SIGUSR2'])(
  'NODE_OPTIONS=%s in the environment of the daemon changes nothing',
  async (options) => {
    await using daemon = await startDaemon({ env: { NODE_OPTIONS: options, NODE_V8_COVERAGE: '/nowhere' } })
    expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
    expect(await inspectorListens()).toBe(false)
    expect(await readFile(`/proc/${daemon.pid}/environ`, 'latin1')).not.toContain('NODE_')
  },
)
