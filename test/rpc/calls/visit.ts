import { type Client, createClient, type Transport } from '@connectrpc/connect'
import { Activity } from '../../../src/gen/activity/v1/activity_pb.js'
import { ProcessService } from '../../../src/gen/agent-sandbox/process_pb.js'
import { Capabilities } from '../../../src/gen/capabilities/capabilities_pb.js'
import { Files } from '../../../src/gen/files/v1/files_pb.js'
import { Filesystem } from '../../../src/gen/filesystem/filesystem_pb.js'
import { Jobs } from '../../../src/gen/jobs/v1/jobs_pb.js'
import { Logs } from '../../../src/gen/logs/v1/logs_pb.js'
import { Metrics } from '../../../src/gen/metrics/metrics_pb.js'
import { Ports } from '../../../src/gen/ports/ports_pb.js'
import { Process } from '../../../src/gen/process/process_pb.js'
import { Supervisor } from '../../../src/gen/supervisor/supervisor_pb.js'
import { Terminals } from '../../../src/gen/terminals/v1/terminals_pb.js'
import { Watch } from '../../../src/gen/watch/v1/watch_pb.js'

/** Clients of all of them, a directory to work in, and a tag of its own. */
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
  readonly watch: Client<typeof Watch>
  readonly logs: Client<typeof Logs>
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
    watch: createClient(Watch, transport),
    logs: createClient(Logs, transport),
    dir,
    tag,
  }
}

/** A call of each RPC, by its name: the least that shows that its messages came through both ways. */
export type Calls = Readonly<Record<string, (visit: Visit) => Promise<void>>>

/** As UTF-8. */
export const bytes = (text: string) => new TextEncoder().encode(text)

/** Selects a process or job. */
export const byTag = (tag: string) => ({ selector: { case: 'tag' as const, value: tag } })

/** Input for a pipe. */
export const stdin = (text: string) => ({ input: { case: 'stdin' as const, value: bytes(text) } })

/** The first message of a stream, which is then left. */
export async function first<T>(open: (options: { signal: AbortSignal }) => AsyncIterable<T>): Promise<T> {
  const leave = new AbortController()
  try {
    for await (const message of open({ signal: leave.signal })) return message
  } finally {
    leave.abort()
  }
  throw new Error('the stream ended without a message')
}
