import { mkdir, writeFile } from 'node:fs/promises'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { type Client, createClient, type Transport } from '@connectrpc/connect'
import { expect } from 'vitest'
import { Activity } from '../../src/gen/activity/v1/activity_pb.js'
import { ProcessService, Signal as SandboxSignal, type StartResponse } from '../../src/gen/agent-sandbox/process_pb.js'
import { Capabilities } from '../../src/gen/capabilities/capabilities_pb.js'
import { Files } from '../../src/gen/files/v1/files_pb.js'
import { EventType, Filesystem } from '../../src/gen/filesystem/filesystem_pb.js'
import { Signal as JobSignal, State as JobState, Jobs } from '../../src/gen/jobs/v1/jobs_pb.js'
import { Metrics } from '../../src/gen/metrics/metrics_pb.js'
import { Ports } from '../../src/gen/ports/ports_pb.js'
import { Process, type StreamInputRequestSchema } from '../../src/gen/process/process_pb.js'
import { State, Supervisor } from '../../src/gen/supervisor/supervisor_pb.js'
import { Terminals } from '../../src/gen/terminals/v1/terminals_pb.js'
import { collected } from '../_util/collected.ts'
import { heard, started } from './typed-clients.ts'

/** Clients of all of them, a directory to work in, and a tag that nobody else uses. */
export interface Visit {
  readonly process: Client<typeof Process>
  readonly filesystem: Client<typeof Filesystem>
  readonly metrics: Client<typeof Metrics>
  readonly supervisor: Client<typeof Supervisor>
  readonly ports: Client<typeof Ports>
  readonly sandbox: Client<typeof ProcessService>
  readonly capabilities: Client<typeof Capabilities>
  readonly activity: Client<typeof Activity>
  readonly terminals: Client<typeof Terminals>
  readonly jobs: Client<typeof Jobs>
  readonly files: Client<typeof Files>
  readonly dir: string
  readonly tag: string
}

export function visit(transport: Transport, dir: string, tag: string): Visit {
  return {
    process: createClient(Process, transport),
    filesystem: createClient(Filesystem, transport),
    metrics: createClient(Metrics, transport),
    supervisor: createClient(Supervisor, transport),
    ports: createClient(Ports, transport),
    sandbox: createClient(ProcessService, transport),
    capabilities: createClient(Capabilities, transport),
    activity: createClient(Activity, transport),
    terminals: createClient(Terminals, transport),
    jobs: createClient(Jobs, transport),
    files: createClient(Files, transport),
    dir,
    tag,
  }
}

const bytes = (text: string) => new TextEncoder().encode(text)
const byTag = (tag: string) => ({ selector: { case: 'tag' as const, value: tag } })
const stdin = (text: string) => ({ input: { case: 'stdin' as const, value: bytes(text) } })

async function cat({ process, tag }: Visit) {
  const { rest } = await started(process.start({ process: { cmd: 'cat' }, tag, stdin: true }))
  return heard(rest)
}

/** Runs a command to its end; what its job must then say. */
async function ended({ process, tag }: Visit) {
  const { pid } = await heard(process.start({ process: { cmd: 'echo', args: ['out'] }, tag }))
  return { pid, tag, cmd: 'echo', args: ['out'], state: JobState.ENDED, exitCode: 0, outputBytes: 4n }
}

async function* typed(
  tag: string,
  texts: readonly string[],
): AsyncGenerator<MessageInitShape<typeof StreamInputRequestSchema>> {
  yield { event: { case: 'start', value: { process: byTag(tag) } } }
  yield { event: { case: 'keepalive', value: {} } }
  for (const text of texts) yield { event: { case: 'data', value: { input: stdin(text) } } }
}

/** What a stream of the agent sandbox says, with what to do once it has begun, and at its first output. */
async function sandboxed(
  responses: AsyncIterable<StartResponse>,
  begun?: (pid: number) => Promise<void>,
  spoken?: (pid: number) => Promise<void>,
) {
  const heard = { pid: 0, stdout: '', stderr: '', exitCode: Number.NaN }
  for await (const { event } of responses) {
    if (event.case === 'init') {
      heard.pid = event.value.processId
      await begun?.(heard.pid)
    }
    if (event.case === 'exit') heard.exitCode = event.value.exitCode
    if (event.case !== 'stdout' && event.case !== 'stderr') continue
    if (heard.stdout === '') await spoken?.(heard.pid)
    heard[event.case] += Buffer.from(event.value).toString()
  }
  return heard
}

/** The first message of a stream, which is then left. */
async function first<T>(open: (options: { signal: AbortSignal }) => AsyncIterable<T>): Promise<T> {
  const leave = new AbortController()
  try {
    for await (const message of open({ signal: leave.signal })) return message
  } finally {
    leave.abort()
  }
  throw new Error('the stream ended without a message')
}

/** A terminal of its own that runs cat, while `use` does something with it; it is closed afterwards. */
async function inTerminal(
  visit: Visit,
  use: (terminal: { selector: { case: 'name'; value: string } }) => Promise<void>,
) {
  const name = `${visit.tag}-terminal`
  const terminal = { selector: { case: 'name' as const, value: name } }
  const { event } = await first((options) => visit.terminals.open({ name, command: 'cat' }, options))
  expect(event.case === 'attached' && event.value.name).toBe(name)
  await use(terminal)
  await visit.terminals.close({ terminal })
}

/** A call of each RPC, by its name: the least that shows that its messages came through both ways. */
export const CALLS: Readonly<Record<string, (visit: Visit) => Promise<void>>> = {
  'files.v1.Files/ReadLines': async ({ files, dir, tag }) => {
    await writeFile(`${dir}/${tag}`, 'one\ntwo\n')
    expect(await files.readLines({ path: `${dir}/${tag}`, from: 2n })).toMatchObject({
      lines: [{ number: 2n, text: 'two' }],
      total: 2n,
    })
  },
  'files.v1.Files/Edit': async ({ files, dir, tag }) => {
    const change = { case: 'text' as const, value: 'new\n' }
    const { files: edited } = await files.edit({ files: [{ path: `${dir}/${tag}`, etag: '', change }] })
    expect(edited).toMatchObject([{ created: true, diff: expect.stringContaining('+new') }])
  },
  'files.v1.Files/Undo': async ({ files, dir, tag }) => {
    const change = { case: 'content' as const, value: bytes('new\n') }
    const { edit = 0n } = await files.edit({ files: [{ path: `${dir}/${tag}`, change }] })
    expect(await files.undo({ edit })).toMatchObject({ edit, files: [{ removed: true }] })
  },
  'files.v1.Files/Find': async ({ files, dir, tag }) => {
    await mkdir(`${dir}/${tag}`)
    await writeFile(`${dir}/${tag}/found`, 'text')
    const events = await collected(files.find({ path: `${dir}/${tag}` }))
    expect(events.map(({ event }) => event)).toMatchObject([
      { case: 'file', value: { path: `${dir}/${tag}/found`, size: 4n } },
      { case: 'summary', value: { files: 1n, truncated: false } },
    ])
  },
  'files.v1.Files/Grep': async ({ files, dir, tag }) => {
    await mkdir(`${dir}/${tag}`)
    await writeFile(`${dir}/${tag}/found`, 'one\ntwo\n')
    const events = await collected(files.grep({ path: `${dir}/${tag}`, pattern: 'w' }))
    expect(events.map(({ event }) => event)).toMatchObject([
      { case: 'line', value: { number: 2n, text: 'two', matches: [{ start: 1, end: 2 }] } },
      { case: 'file', value: { matchingLines: 1n } },
      { case: 'summary', value: { matchingLines: 1n, files: 1n } },
    ])
  },
  'jobs.v1.Jobs/Get': async (visit) => {
    const done = await ended(visit)
    expect((await visit.jobs.get({ job: byTag(visit.tag) })).job).toMatchObject(done)
  },
  'jobs.v1.Jobs/List': async (visit) => {
    const done = await ended(visit)
    expect((await visit.jobs.list({ filter: { tag: visit.tag } })).jobs).toMatchObject([done])
  },
  'jobs.v1.Jobs/Wait': async (visit) => {
    const done = await ended(visit)
    const { job, stdout } = await visit.jobs.wait({ job: byTag(visit.tag), tailBytes: 3 })
    expect(job).toMatchObject(done)
    expect(Buffer.from(stdout).toString()).toBe('ut\n')
  },
  'jobs.v1.Jobs/Read': async (visit) => {
    const done = await ended(visit)
    const events = await collected(visit.jobs.read({ job: byTag(visit.tag) }))
    expect(events.map(({ event }) => event.case)).toEqual(['start', 'data', 'end'])
    expect(events.at(-1)?.event.value).toMatchObject(done)
  },
  'jobs.v1.Jobs/Write': async (visit) => {
    const { rest } = await started(visit.process.start({ process: { cmd: 'cat' }, tag: visit.tag, stdin: true }))
    const job = byTag(visit.tag)
    const write = () => visit.jobs.write({ job, data: bytes('once'), offset: 0n })
    expect([await write(), await write()].map(({ written }) => written)).toEqual([4n, 4n])
    await visit.jobs.write({ job, eof: true })
    expect(await heard(rest)).toMatchObject({ stdout: 'once' })
  },
  'jobs.v1.Jobs/Kill': async (visit) => {
    const { rest } = await started(visit.process.start({ process: { cmd: 'cat' }, tag: visit.tag, stdin: true }))
    const { job, left } = await visit.jobs.kill({ job: byTag(visit.tag), signal: JobSignal.SIGKILL })
    expect(job).toMatchObject({ state: JobState.ENDED, status: 'signal: killed', signal: 'killed' })
    expect(left).toEqual([])
    await heard(rest)
  },
  'jobs.v1.Jobs/Watch': async ({ jobs }) => {
    const { event } = await first((options) => jobs.watch({}, options))
    expect(event.case).toBe('watching')
  },
  'activity.v1.Activity/Get': async ({ activity }) => {
    expect((await activity.get({})).status?.windowSeconds).toBe(10)
  },
  'activity.v1.Activity/Watch': async ({ activity }) => {
    const { event } = await first((options) => activity.watch({}, options))
    expect(event.case === 'status' && event.value.windowSeconds).toBe(10)
  },
  'terminals.v1.Terminals/Open': (visit) => inTerminal(visit, async () => {}),
  'terminals.v1.Terminals/Attach': (visit) =>
    inTerminal(visit, async (terminal) => {
      const { event } = await first((options) => visit.terminals.attach({ terminal }, options))
      expect(event.case === 'attached' && event.value.size).toMatchObject({ columns: 80, rows: 24 })
    }),
  'terminals.v1.Terminals/List': (visit) =>
    inTerminal(visit, async ({ selector }) => {
      const { terminals } = await visit.terminals.list({})
      expect(terminals.find(({ name }) => name === selector.value)?.command).toBe('cat')
    }),
  'terminals.v1.Terminals/Write': (visit) =>
    inTerminal(visit, async (terminal) => {
      await visit.terminals.write({ terminal, data: bytes('typed\n') })
    }),
  'terminals.v1.Terminals/Resize': (visit) =>
    inTerminal(visit, async (terminal) => {
      for await (const { event } of visit.terminals.attach({ terminal })) {
        if (event.case !== 'attached') continue
        const size = { columns: 90, rows: 30 }
        const answer = await visit.terminals.resize({ terminal, client: event.value.client, size })
        expect(answer.size).toMatchObject(size)
        break
      }
    }),
  'terminals.v1.Terminals/Close': (visit) => inTerminal(visit, async () => {}),
  'terminals.v1.Terminals/Record': (visit) =>
    inTerminal(visit, async (terminal) => {
      const { event } = await first((options) => visit.terminals.record({ terminal }, options))
      expect(event.case === 'line' && JSON.parse(Buffer.from(event.value).toString()).version).toBe(2)
    }),
  'capabilities.v1.Capabilities/Get': async ({ capabilities }) => {
    const { services } = await capabilities.get({})
    expect(services.find(({ name }) => name === 'process.Process')?.methods[0]?.name).toBe('List')
  },
  'process.v1.ProcessService/Start': async ({ sandbox }) => {
    const command = ['sh', '-c', 'printf out; printf err >&2; exit 3']
    const { pid, ...heard } = await sandboxed(sandbox.start({ config: { command } }))
    expect(pid).toBeGreaterThan(0)
    expect(heard).toEqual({ stdout: 'out', stderr: 'err', exitCode: 3 })
  },
  'process.v1.ProcessService/Execute': async ({ sandbox, dir }) => {
    const command = ['sh', '-c', 'printf "$A"; pwd >&2; exit 4']
    const { exitCode, stdout, stderr } = await sandbox.execute({ config: { command, envVars: { A: 'b' }, cwd: dir } })
    expect([exitCode, Buffer.from(stdout).toString(), Buffer.from(stderr).toString()]).toEqual([4, 'b', `${dir}\n`])
  },
  'process.v1.ProcessService/WriteStdin': async ({ sandbox }) => {
    const result = await sandboxed(sandbox.start({ config: { command: ['cat'] } }), async (processId) => {
      await sandbox.writeStdin({ processId, payload: { case: 'input', value: bytes('typed') } })
      await sandbox.writeStdin({ processId, payload: { case: 'eof', value: {} } })
    })
    expect(result).toMatchObject({ stdout: 'typed', exitCode: 0 })
  },
  'process.v1.ProcessService/SendSignal': async ({ sandbox }) => {
    for (const [signal, exitCode] of [
      [SandboxSignal.SIGINT, 7],
      [SandboxSignal.SIGTERM, 8],
      [SandboxSignal.SIGKILL, -1],
    ] as const) {
      const command = ['sh', '-c', 'trap "exit 7" INT; trap "exit 8" TERM; echo; while :; do sleep 0.05; done']
      const result = await sandboxed(sandbox.start({ config: { command } }), undefined, async (processId) => {
        await sandbox.sendSignal({ processId, signal })
      })
      expect(result.exitCode).toBe(exitCode)
    }
  },
  'process.v1.ProcessService/ResizeTTY': async ({ sandbox }) => {
    const started = sandbox.start({
      config: { command: ['sh', '-c', 'read x; stty size'] },
      pty: { cols: 80, rows: 24 },
    })
    const result = await sandboxed(started, async (processId) => {
      await sandbox.resizeTTY({ processId, cols: 132, rows: 43 })
      await sandbox.writeStdin({ processId, payload: { case: 'input', value: bytes('\n') } })
    })
    expect(result.stdout).toContain('43 132')
  },
  'process.Process/List': async (visit) => {
    const { rest } = await started(visit.process.start({ process: { cmd: 'sleep', args: ['1000'] }, tag: visit.tag }))
    const { processes } = await visit.process.list({})
    expect(processes.find(({ tag }) => tag === visit.tag)?.config).toMatchObject({ cmd: 'sleep', args: ['1000'] })
    await visit.process.sendSignal({ process: byTag(visit.tag), signal: 9 })
    await heard(rest)
  },
  'process.Process/Connect': async (visit) => {
    const own = started(visit.process.start({ process: { cmd: 'cat' }, tag: visit.tag, stdin: true }))
    const { rest } = await own
    const other = await started(visit.process.connect({ process: byTag(visit.tag) }))
    await visit.process.sendInput({ process: byTag(visit.tag), input: stdin('both') })
    await visit.process.closeStdin({ process: byTag(visit.tag) })
    const all = await Promise.all([heard(rest), heard(other.rest)])
    expect(all.map(({ stdout, status }) => [stdout, status])).toEqual(Array(2).fill(['both', 'exit status 0']))
  },
  'process.Process/Start': async ({ process }) => {
    const args = ['-c', 'printf "$A"; printf err >&2; exit 3']
    const result = await heard(process.start({ process: { cmd: 'sh', args, envs: { A: 'é' } } }))
    const raw = Buffer.from(result.stdout, 'latin1').toString()
    expect([raw, result.stderr, result.status]).toEqual(['é', 'err', 'exit status 3'])
  },
  'process.Process/Update': async ({ process, tag }) => {
    const args = ['-c', 'read x; stty size']
    const pty = { size: { cols: 80, rows: 24 } }
    const { rest } = await started(process.start({ process: { cmd: 'sh', args }, pty, tag }))
    await process.update({ process: byTag(tag), pty: { size: { cols: 132, rows: 43 } } })
    await process.sendInput({ process: byTag(tag), input: { input: { case: 'pty', value: bytes('\n') } } })
    expect((await heard(rest)).pty).toContain('43 132')
  },
  'process.Process/StreamInput': async (visit) => {
    const result = cat(visit)
    await expect
      .poll(async () => (await visit.process.list({})).processes.some(({ tag }) => tag === visit.tag))
      .toBe(true)
    await visit.process.streamInput(typed(visit.tag, ['one ', 'two']))
    await visit.process.closeStdin({ process: byTag(visit.tag) })
    expect(await result).toMatchObject({ stdout: 'one two', status: 'exit status 0' })
  },
  'process.Process/SendInput': async ({ process, tag }) => {
    const { rest } = await started(
      process.start({ process: { cmd: 'head', args: ['-c', '180000'] }, tag, stdin: true }),
    )
    await process.sendInput({ process: byTag(tag), input: stdin('x'.repeat(180_000)) })
    expect((await heard(rest)).stdout).toBe('x'.repeat(180_000))
  },
  'process.Process/SendSignal': async ({ process, tag }) => {
    const { rest } = await started(process.start({ process: { cmd: 'sleep', args: ['1000'] }, tag }))
    await process.sendSignal({ process: byTag(tag), signal: 15 })
    expect((await heard(rest)).status).toBe('signal: terminated')
  },
  'process.Process/CloseStdin': async ({ process, tag }) => {
    const { rest } = await started(process.start({ process: { cmd: 'wc', args: ['-c'] }, tag, stdin: true }))
    await process.closeStdin({ process: byTag(tag) })
    expect((await heard(rest)).stdout.trim()).toBe('0')
  },
  'filesystem.Filesystem/Stat': async ({ filesystem, dir }) => {
    await writeFile(`${dir}/file`, '12345', { mode: 0o640 })
    const { entry } = await filesystem.stat({ path: `${dir}/file` })
    expect(entry).toMatchObject({ name: 'file', type: 1, size: 5n, mode: 0o640, permissions: '-rw-r-----' })
  },
  'filesystem.Filesystem/MakeDir': async ({ filesystem, dir }) => {
    expect((await filesystem.makeDir({ path: `${dir}/a/b` })).entry?.path).toBe(`${dir}/a/b`)
  },
  'filesystem.Filesystem/Move': async ({ filesystem, dir }) => {
    await writeFile(`${dir}/old`, '')
    const { entry } = await filesystem.move({ source: `${dir}/old`, destination: `${dir}/new` })
    expect(entry?.path).toBe(`${dir}/new`)
  },
  'filesystem.Filesystem/ListDir': async ({ filesystem, dir }) => {
    const names = Array.from({ length: 40 }, (_, i) => `${dir}/file${String(i).padStart(2, '0')}`)
    for (const name of names) await writeFile(name, '')
    const { entries } = await filesystem.listDir({ path: dir, depth: 1 })
    expect(entries.map(({ path }) => path)).toEqual(names)
  },
  'filesystem.Filesystem/Remove': async ({ filesystem, dir }) => {
    await writeFile(`${dir}/file`, '')
    await filesystem.remove({ path: `${dir}/file` })
    await expect(filesystem.stat({ path: `${dir}/file` })).rejects.toMatchObject({ code: 5 })
  },
  'filesystem.Filesystem/WatchDir': async ({ filesystem, dir }) => {
    const leave = new AbortController()
    const events = filesystem.watchDir({ path: dir }, { signal: leave.signal })[Symbol.asyncIterator]()
    expect((await events.next()).value?.event.case).toBe('start')
    await writeFile(`${dir}/file`, '')
    expect((await events.next()).value?.event.value).toMatchObject({ name: 'file', type: EventType.CREATE })
    leave.abort()
    await events.next().catch(() => {})
  },
  'filesystem.Filesystem/CreateWatcher': async ({ filesystem, dir }) => {
    expect((await filesystem.createWatcher({ path: dir })).watcherId).toMatch(/^w[a-z0-9]{20}$/)
  },
  'filesystem.Filesystem/GetWatcherEvents': async ({ filesystem, dir }) => {
    const { watcherId } = await filesystem.createWatcher({ path: dir })
    await filesystem.makeDir({ path: `${dir}/made` })
    const { events } = await filesystem.getWatcherEvents({ watcherId })
    expect(events[0]).toMatchObject({ name: 'made', type: EventType.CREATE })
  },
  'filesystem.Filesystem/RemoveWatcher': async ({ filesystem, dir }) => {
    const { watcherId } = await filesystem.createWatcher({ path: dir })
    await filesystem.removeWatcher({ watcherId })
    await expect(filesystem.getWatcherEvents({ watcherId })).rejects.toMatchObject({ code: 5 })
  },
  'metrics.Metrics/Get': async ({ metrics }) => {
    expect(Number((await metrics.get({})).sample?.memTotal)).toBeGreaterThan(0)
  },
  'metrics.Metrics/List': async ({ metrics }) => {
    expect((await metrics.list({ limit: 1 })).samples.length).toBe(1)
  },
  'metrics.Metrics/Watch': async ({ metrics }) => {
    const { event } = await first((options) => metrics.watch({ from: { seconds: 0n } }, options))
    expect(event.case).toBe('sample')
  },
  'supervisor.Supervisor/Get': async ({ supervisor }) => {
    expect((await supervisor.get({})).status?.state).not.toBe(State.UNSPECIFIED)
  },
  'supervisor.Supervisor/List': async ({ supervisor }) => {
    expect((await supervisor.list({})).statuses.map(({ service }) => service)).toEqual(['start'])
  },
  'supervisor.Supervisor/Watch': async ({ supervisor }) => {
    const { event } = await first((options) => supervisor.watch({}, options))
    expect(event.case).toBe('status')
  },
  'supervisor.Supervisor/Start': async ({ supervisor }) => {
    await supervisor.stop({})
    await expect
      .poll(async () => (await supervisor.get({})).status?.state)
      .toSatisfy((state) => state !== State.STOPPING)
    expect([State.STARTING, State.READY]).toContain((await supervisor.start({})).status?.state)
  },
  'supervisor.Supervisor/Stop': async ({ supervisor }) => {
    expect([State.STOPPING, State.STOPPED]).toContain((await supervisor.stop({})).status?.state)
  },
  'ports.Ports/List': async ({ ports }) => {
    await expect.poll(async () => (await ports.list({})).listeners.length).toBeGreaterThan(0)
  },
  'ports.Ports/Watch': async ({ ports }) => {
    expect((await first((options) => ports.watch({}, options))).event.case).toBe('snapshot')
  },
}
