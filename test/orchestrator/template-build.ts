import { setTimeout as delay } from 'node:timers/promises'
import { createClient } from '@connectrpc/connect'
import { Process } from '../../src/gen/process/process_pb.js'
import { asUser } from '../_util/rpc.ts'
import { goTransport } from '../rpc/go-transport.ts'
import { type Sandbox, tokenHeader } from './orchestrator.ts'

/** As whom, where and with what the commands of a template run, as of that step. */
export interface BuildContext {
  readonly user: string
  readonly workdir?: string
  readonly env: Readonly<Record<string, string>>
}

/** A command that runs. */
export interface Running {
  readonly pid: number
  /** Its output so far. */
  stdout(): string
  /** Resolves when it has succeeded; rejects with its status otherwise, or when the stream breaks (contract K12). */
  readonly done: Promise<void>
  /** Leaves the stream. */
  leave(): void
}

/**
 * The commands of a template builder (contract K11 to K16), in the binary codec of its Go client, through the
 * platform's proxy.
 */
export interface TemplateBuild {
  /** Starts one; resolves when it has started. @param limit milliseconds; default: 1 h */
  start(script: string, context: BuildContext, limit?: number): Promise<Running>
  /** Runs one to its end; gives its output. */
  run(script: string, context: BuildContext): Promise<string>
  /** Repeats the ready command until it succeeds; gives the number of attempts. Rejects when the limit is over. */
  ready(script: string, context: BuildContext, limit: number): Promise<number>
}

const STANDARD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const HOUR_MS = 3_600_000
const READY_PAUSE_MS = 2000

/** A builder that works in a sandbox. */
export function createTemplateBuild(url: string, sandbox: Sandbox): TemplateBuild {
  const client = createClient(Process, goTransport(url, { sendGzip: false }))

  const start = async (script: string, context: BuildContext, limit = HOUR_MS): Promise<Running> => {
    const leaving = new AbortController()
    const headers = {
      ...asUser(context.user),
      ...tokenHeader(sandbox),
      host: `49983-${sandbox.id}-00000000.localhost`,
    }
    const stream = client.start(
      {
        process: {
          cmd: '/bin/bash',
          args: ['-l', '-c', script],
          envs: withStandardPath(context.env),
          ...(context.workdir === undefined ? {} : { cwd: context.workdir }),
        },
      },
      { headers, timeoutMs: limit, signal: leaving.signal },
    )
    const events = stream[Symbol.asyncIterator]()
    const { value: first } = await events.next()
    if (first?.event?.event.case !== 'start') throw new Error('no start event')
    let output = ''
    const done = (async () => {
      for (let item = await events.next(); !item.done; item = await events.next()) {
        const event = item.value.event?.event
        if (event?.case === 'data') output += Buffer.from(event.value.output.value ?? []).toString()
        if (event?.case === 'end' && event.value.exitCode !== 0) throw new Error(event.value.status)
      }
    })()
    // A client that has left gets no more.
    done.catch(() => {})
    return { pid: first.event.event.value.pid, stdout: () => output, done, leave: () => leaving.abort() }
  }

  const run = async (script: string, context: BuildContext, limit?: number): Promise<string> => {
    const running = await start(script, context, limit)
    await running.done
    return running.stdout()
  }

  return {
    start,
    run,
    ready: async (script, context, limit) => {
      const end = performance.now() + limit
      for (let attempts = 1; ; attempts++) {
        const error = await run(script, context, end - performance.now()).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        if (error === undefined) return attempts
        if (performance.now() + READY_PAUSE_MS > end) throw error
        await delay(READY_PAUSE_MS)
      }
    },
  }
}

function withStandardPath(env: BuildContext['env']): Record<string, string> {
  return env['PATH'] === undefined ? { ...env } : { ...env, PATH: `${env['PATH']}:${STANDARD_PATH}` }
}
