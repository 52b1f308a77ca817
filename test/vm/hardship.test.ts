import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { asUser, pidOf, start, transcript } from '../_util/rpc.ts'
import { bootMachine, type Machine, statusOf } from './machine.ts'
import { needsVm, skippedReason } from './qemu.ts'

describe('a machine that is short of everything', () => {
  let machine: Machine
  let daemon: string
  beforeEach((context) => needsVm(context))
  beforeAll(async () => {
    if (skippedReason() !== undefined) return
    machine = await bootMachine(512)
    await machine.healthy()
    await machine.init()
    daemon = await machine.sh('pgrep -x envd')
  })
  afterAll(async () => machine?.[Symbol.asyncDispose]())

  /** A shell command of the default user. */
  const run = (command: string, limits: Record<string, string> = {}) =>
    start(machine.url, '/bin/sh', {
      args: ['-c', command],
      stdin: false,
      headers: { ...machine.headers, ...asUser('user'), ...limits },
    })

  /** A command of root's beside the cgroup that is short of something. */
  const ofTheSystem = (command: string) => machine.sh(command, { tag: '_system' })

  /** Checks the health once a second until the work is done; prints the longest answer. */
  const whileHealthy = async <T>(what: string, work: Promise<T>): Promise<T> => {
    const over = new AbortController()
    const answers: { status: number | undefined; ms: number }[] = []
    const asking = (async () => {
      while (!over.signal.aborted) {
        const before = performance.now()
        answers.push({ status: await statusOf(machine.url, HEALTH_LIMIT_MS), ms: performance.now() - before })
        await delay(1000)
      }
    })()
    try {
      return await work
    } finally {
      over.abort()
      await asking
      const longest = Math.round(Math.max(...answers.map(({ ms }) => ms)))
      console.log(JSON.stringify({ what, answers: answers.length, longest }))
      expect(answers.filter(({ status }) => status !== 204)).toEqual([])
      expect(await ofTheSystem('pgrep -x envd'), 'the daemon is the same').toBe(daemon)
    }
  }

  const groupEvents = async (name: string) => {
    const events = await ofTheSystem('cat /sys/fs/cgroup/user/memory.events')
    return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(events)?.[1])
  }

  test('K1 a command that eats all memory is killed, its end says why, and no other is killed', async () => {
    const pid = await pidOf(await run('exec sleep 3000'))
    const kills = await groupEvents('oom_kill')
    // Its last line has no end.
    const eaten = await whileHealthy('memory', run('exec tail /dev/zero').then(transcript))
    expect(eaten.end).toMatchObject({ status: 'signal: killed', error: 'signal: killed (out of memory)' })
    expect(await groupEvents('oom_kill')).toBeGreaterThan(kills)
    expect(await ofTheSystem(`ps -o comm= -p ${pid}; kill -KILL ${pid}`)).toBe('sleep')
  })

  const count = () => ofTheSystem('cat /sys/fs/cgroup/user/pids.current').then(Number)

  const kill = (pid: number) =>
    sendWhole(`${machine.url}/process.Process/SendSignal`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...machine.headers },
      body: JSON.stringify({ process: { pid }, signal: 'SIGNAL_SIGKILL' }),
    })

  test('K1 a fork bomb holds up no health check, and is ended by one kill', async () => {
    const before = await count()
    const pid = await pidOf(await run('bomb() { bomb | bomb & }; bomb; sleep 3000'))
    await whileHealthy('fork bomb', expect.poll(count).toBeGreaterThan(200))
    expect((await whileHealthy('kill', kill(pid))).status).toBe(200)
    await expect.poll(count).toBe(before)
  })

  test('a fork bomb with a limit of processes reaches that and no more', async () => {
    const before = await count()
    const pid = await pidOf(await run('bomb() { bomb | bomb & }; bomb; sleep 3000', { 'command-pids-max': '40' }))
    const refused = () => ofTheSystem('cat /sys/fs/cgroup/user/command.*/pids.events')
    await whileHealthy('limited fork bomb', expect.poll(refused).toMatch(/^max [1-9]/m))
    expect(await count()).toBeLessThanOrEqual(before + 40)
    expect((await kill(pid)).status).toBe(200)
    await expect.poll(count).toBe(before)
  })

  test('a full disk is reported as one, and what is removed is room again', async () => {
    // Root's part of the disk as well.
    const fill = start(machine.url, '/bin/sh', {
      args: ['-c', 'exec cat /dev/zero >/home/user/all'],
      stdin: false,
      headers: { ...machine.headers, ...asUser('root') },
    })
    const filled = await whileHealthy('full disk', fill.then(transcript))
    expect(String(filled.stderr)).toContain('No space left on device')
    const upload = () =>
      sendWhole(`${machine.url}/files?path=/home/user/new&username=user`, {
        method: 'POST',
        headers: { ...machine.headers, 'content-type': 'application/octet-stream' },
        body: Buffer.alloc(2 ** 20, 'x'),
      })
    expect((await whileHealthy('upload', upload())).status).toBe(507)
    expect(await machine.sh('ls -A /home/user | grep -e new -e envd- || true')).toBe('')
    await machine.sh('rm /home/user/all')
    expect((await upload()).status).toBe(200)
  })

  test('K1 a flood of the page cache leaves the daemon its memory', async () => {
    // Pages that the kernel took back for want of memory.
    const reclaimed = async () => {
      const lines = await ofTheSystem("grep -E '^pgsteal_(kswapd|direct) ' /proc/vmstat")
      return [...lines.matchAll(/ (\d+)/g)].reduce((sum, [, pages]) => sum + Number(pages), 0)
    }
    const before = await reclaimed()
    const flood = 'head -c 500M /dev/zero >/home/user/large && cat /home/user/large >/dev/null && rm /home/user/large'
    const { end } = await whileHealthy('page cache', run(flood).then(transcript))
    expect(end).toMatchObject({ status: 'exit status 0' })
    expect(await reclaimed()).toBeGreaterThan(before)
  })

  test('the host takes most of the processor, and health is still answered', async () => {
    const pid = await pidOf(await run('while :; do :; done'))
    const steal = async () => {
      for (let rounds = 0; rounds < STOLEN_ROUNDS; rounds++) {
        process.kill(machine.qemu.pid, 'SIGSTOP')
        await delay(160)
        process.kill(machine.qemu.pid, 'SIGCONT')
        await delay(40)
      }
    }
    await whileHealthy('stolen', steal())
    expect((await kill(pid)).status).toBe(200)
  })

  test('root raises a stack that is too small for the daemon beyond its hard limit', async () => {
    const limits = '/opt/envd/bin/envd-keeper /bin/sh -c "ulimit -Ss; ulimit -Hs"'
    expect(await machine.sh(`ulimit -s 64; ${limits}`)).toBe('2048\n2048')
  })

  test('nothing of it is left', async () => {
    expect(await machine.sh('systemctl is-system-running || true')).toBe('running')
    await expect.poll(count).toBe(0)
    expect(await machine.qemu.console()).not.toMatch(/Killed process \d+ \((envd|systemd|MainThread)/)
  })
})

/** An answer later than this is none; the processor is emulated. */
const HEALTH_LIMIT_MS = 30_000
/** 20 s, of which the machine has a fifth. */
const STOLEN_ROUNDS = 100
