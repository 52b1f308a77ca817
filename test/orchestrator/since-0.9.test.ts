import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { shell } from '../_util/rpc.ts'
import { at, now } from '../http/init-calls.ts'
import { tokenHeader } from './orchestrator.ts'
import { BOOT_MS, changes, PLAYING, RESUME_MS, sandboxOf, startHogs, startPlay } from './play.ts'

const BEAT = 'home/user/beat'

test(
  'N7 N8 N9 N10 N12 N16 a pause between two calls holds against one that began before it, and thaw: skip keeps it, under load',
  PLAYING,
  async (context) => {
    await using play = await startPlay(context)
    const { machine, platform, probe } = play
    const sandbox = sandboxOf('one', { defaultUser: 'user', defaultWorkdir: '/home/user' })
    platform.provision(sandbox)
    machine.boot()
    const booted = await platform.init(sandbox, BOOT_MS)
    expect(booted).toMatchObject({
      'x-envd-defaults': '{"user":"user","workdir":"/home/user","fallback":false}',
      'x-envd-init-clock-correction': expect.stringMatching(/^\d+$/),
      'x-envd-cpus': expect.stringContaining('"target":0'),
    })
    probe.go(sandbox.token)
    await startHogs(machine, sandbox)
    const headers = tokenHeader(sandbox)
    void shell(machine.url, 'while :; do date +%s%N >beat; sleep 0.02; done', { headers }).catch(() => {})
    await expect.poll(() => changes(machine, BEAT).then(() => true)).toBe(true)

    // A caller that withholds its body, from before the pause.
    const text = JSON.stringify({ accessToken: sandbox.token, timestamp: at(now()) })
    const { hostname, port } = new URL(machine.url)
    const socket = connect(Number(port), hostname).on('error', () => {})
    await once(socket, 'connect')
    socket.write(`POST /init HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n`)
    await platform.init(sandbox, RESUME_MS)

    expect(await platform.prepare(sandbox, false)).toMatchObject({ notFrozen: 0, failed: 0, vanished: 0 })
    let late = ''
    socket.setEncoding('latin1').on('data', (bytes: string) => {
      late += bytes
    })
    socket.write(text)
    await once(socket, 'close')
    expect(late).toContain('HTTP/1.1 204')
    const body = JSON.stringify({ accessToken: sandbox.token, thaw: 'skip' })
    const skipped = await sendWhole(`${machine.url}/init`, { method: 'POST', headers, body })
    expect(skipped).toMatchObject({ status: 204, headers: { 'x-envd-thaw': 'skip' } })
    // Both left the freeze as it was.
    expect(skipped.headers['x-envd-freeze-audit']).toContain('"escaped":0')

    await platform.init(sandbox, RESUME_MS)
    await changes(machine, BEAT)
  },
)
