import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { asUser, call, open, type ProcessMessage, pidOf, type Stream, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { at, now } from '../http/init-calls.ts'
import { type Sandbox, tokenOf } from '../orchestrator/orchestrator.ts'
import { TerminalClient } from '../terminals/terminal-client.ts'
import { type Machine, makeSurroundings, SANDBOX, type Surroundings, surround } from './machine.ts'
import { makeDisk, needsVm, type QemuOptions, skippedReason, startQemu } from './qemu.ts'
import { resume, type Snapshot, takeSnapshot } from './snapshot.ts'

/** A number each time, in order. */
const TICKER = 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.5; done'
/** A server on the loopback interface, by the Node of the bundle. */
const SERVER = `cd /opt/envd/lib && exec ./ld-linux-x86-64.so.2 --library-path . ../bin/node -e \
  "require('http').createServer((q, a) => a.end('served')).listen(8000, 'localhost')"`

const owned = new AsyncDisposableStack()
let around: Surroundings
let directory: string
let machine: Machine
let options: QemuOptions
beforeEach((context) => needsVm(context))
beforeAll(async () => {
  if (skippedReason() !== undefined) return
  directory = owned.use(await makeTmpDir()).path
  around = owned.use(await makeSurroundings())
  const disk = await makeDisk(directory, 'amd64')
  options = { arch: 'amd64', memoryMib: 512, disk, tap: around.tap.name, directory }
  const qemu = owned.use(await startQemu(options))
  machine = { ...surround(qemu, around), [Symbol.asyncDispose]: () => qemu[Symbol.asyncDispose]() }
  await machine.healthy()
  await machine.init()
})
afterAll(() => owned.disposeAsync())

const user = () => ({ ...machine.headers, ...asUser('user') })

/** The numbers of the ticker, and what the stream knows of its place. */
class Numbers {
  text = ''
  offset = 0
  readonly stream: Stream<ProcessMessage>
  constructor(stream: Stream<ProcessMessage>, offset = 0) {
    this.stream = stream
    this.offset = offset
  }
  /** Reads until there are so many more lines. Rejects where bytes are missing or come twice. */
  async more(lines: number): Promise<void> {
    const wanted = this.text.split('\n').length + lines
    while (this.text.split('\n').length < wanted) {
      const { data } = (await this.stream.next()).event
      if (data?.stdout === undefined) continue
      const bytes = Buffer.from(data.stdout, 'base64')
      expect(Number(data.offset ?? 0)).toBe(this.offset)
      this.offset += bytes.length
      this.text += bytes
    }
  }
}

/** An upload of which the first half is sent. */
function beginUpload(path: string) {
  const outgoing = request(`${machine.url}/files?path=${path}&username=user`, {
    method: 'POST',
    agent: false,
    headers: { ...machine.headers, 'content-type': 'application/octet-stream', 'content-length': '200000' },
  })
  const status = new Promise<number | undefined>((resolve) => {
    outgoing.on('response', (response) => resolve(response.resume().statusCode)).on('error', () => resolve(undefined))
  })
  outgoing.write(Buffer.alloc(100_000, 'a'))
  return { finish: () => outgoing.end(Buffer.alloc(100_000, 'b')), status }
}

let numbers: Numbers
let ticker: number
let second: Snapshot

test('K24 streams, terminals, watches, uploads and forwarded ports go on after a resume in place', async () => {
  const stream = await start(machine.url, '/bin/sh', { args: ['-c', TICKER], headers: user(), tag: 'ticker' })
  ticker = await pidOf(stream)
  numbers = new Numbers(stream)
  await start(machine.url, '/bin/sh', { args: ['-c', SERVER], headers: user(), tag: 'server' })
  const port = () =>
    sendWhole('http://169.254.0.21:8000/').then(
      ({ text }) => text,
      () => '',
    )
  await expect.poll(port).toBe('served')
  const terminal = await TerminalClient.open(
    machine.url,
    'Open',
    { name: 'desk', command: '/bin/sh' },
    { headers: user() },
  )
  const watch = await open<{ filesystem?: { name: string } }>(
    machine.url,
    'filesystem.Filesystem/WatchDir',
    { path: '/home/user' },
    { headers: user() },
  )
  await watch.next()
  const upload = beginUpload('/home/user/upload')
  await numbers.more(3)

  const first = await takeSnapshot(machine.qemu, options)
  machine = owned.use(await resume(first, around, join(directory, 'in-place')))
  await numbers.more(3)
  await machine.init()
  const write = { terminal: { name: 'desk' }, data: Buffer.from('echo on-$((40+2))\n').toString('base64') }
  expect((await call(machine.url, 'terminals.v1.Terminals/Write', write, { headers: user() })).status).toBe(200)
  await terminal.until(() => terminal.text().includes('on-42'))
  upload.finish()
  expect(await upload.status).toBe(200)
  expect((await watch.next()).filesystem?.name).toBe('upload')
  expect(await port()).toBe('served')
  expect(await machine.sh('wc -c </home/user/upload')).toBe('200000')
  const lines = numbers.text.trimEnd().split('\n')
  expect(lines).toEqual(lines.map((_, i) => String(i)))
})

/** What must differ between machines that go on from the same moment. */
async function drawIds({ url, headers, sh }: Machine): Promise<string[]> {
  const watcher = await call(url, 'filesystem.Filesystem/CreateWatcher', { path: '/tmp' }, { headers })
  // What the schema says of the answer.
  const { watcherId } = watcher.body as { watcherId: string }
  const ranges = await sendWhole(`${url}/files?path=/etc/passwd`, { headers: { ...headers, range: 'bytes=0-1,3-4' } })
  const boundary = /boundary=(\S+)/.exec(ranges.headers['content-type'] ?? '')?.[1] ?? ''
  const drawn = await sh(
    'mktemp -u; cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | od -An -tx1; echo $E2B_SANDBOX_ID',
  )
  return [watcherId, boundary, ...drawn.split('\n')]
}

const TEN_MINUTES = 600_000_000_000n

test('K4 clones that are resumed elsewhere go on alike, with ids, tokens and clocks of their own', async () => {
  const deadline = await start(machine.url, '/bin/sh', {
    args: ['-c', 'exec sleep 3000'],
    headers: { ...user(), 'connect-timeout-ms': '500000' },
    tag: 'deadline',
  })
  const sleeper = await pidOf(deadline)
  await numbers.more(1)
  second = await takeSnapshot(machine.qemu, { ...options, disk: join(directory, 'in-place/disk.qcow2') })
  await around.tap.moveTo('10.2.0.1')
  const drawn: string[][] = []
  for (const id of ['i-one', 'i-two']) {
    const sandbox: Sandbox = { ...SANDBOX, id, token: tokenOf(id) }
    await using clone = await resume(second, around, join(directory, id), sandbox)
    const before = now() + TEN_MINUTES
    await clone.init(at(before))
    const clock = BigInt(await clone.sh('date +%s%N'))
    expect(clock).toBeGreaterThan(before)
    expect(clock).toBeLessThan(now() + TEN_MINUTES)
    expect((await sendWhole(`${clone.url}/envs`, { headers: machine.headers })).status).toBe(401)
    drawn.push(await drawIds(clone))
    await expectOthersGone(clone)
    // Its deadline counts time that the machine runs.
    expect(await clone.sh(`ps -o comm= -p ${sleeper}`)).toBe('sleep')
    await expectOutputGoesOn(clone)
  }
  const [one = [], two = []] = drawn
  expect(one).toHaveLength(6)
  for (const [i, each] of one.entries()) {
    expect(each).not.toBe('')
    expect(each).not.toBe(two[i])
  }
  expect(one.at(-1)).toBe('i-one')
})

/** No connection of the daemon with a peer that was there before the snapshot is left. */
async function expectOthersGone(clone: Machine): Promise<void> {
  // 10.1.0.1 as in /proc/net/tcp (proc_net(5)), established.
  const established =
    "grep -ciE ' ([0-9A-F]{24})?0100010A:[0-9A-F]{4} 01 ' /proc/net/tcp /proc/net/tcp6 -h | paste -sd+ | sed 's/+/ /'"
  await expect.poll(() => clone.sh(`${established} || true`)).toBe('0 0')
}

/** A client that knows its place gets all from there, as the clients of the other clone do. */
async function expectOutputGoesOn(clone: Machine): Promise<void> {
  const resumeFrom = { stdout: String(numbers.offset) }
  const message = { process: { pid: ticker }, resumeFrom }
  const headers = { ...clone.headers, ...asUser('user') }
  const stream = await open<ProcessMessage>(clone.url, 'process.Process/Connect', message, { headers })
  const again = new Numbers(stream, numbers.offset)
  await again.more(4)
  stream.close()
  const lines = (numbers.text + again.text).split('\n').slice(0, -1)
  expect(lines).toEqual(lines.map((_, i) => String(i)))
}
