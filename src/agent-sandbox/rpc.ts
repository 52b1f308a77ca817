import type { MessageInitShape } from '@bufbuild/protobuf'
import { openedStream, unary } from '../calls/builders.ts'
import type { OpenStream } from '../calls/implementation.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { ProcessService, type StartResponseSchema } from '../gen/agent-sandbox/process_pb.js'
import type { Output } from '../process/convert.ts'
import type { StreamItem } from '../process/follow.ts'
import { COMMAND, INPUT } from '../process/rpc.ts'
import type { AgentSandboxService } from './service.ts'

/** The methods of `process.v1.ProcessService`, the wire of the Kubernetes SIG's agent sandbox. */
export function agentSandboxRpc(service: AgentSandboxService): ServiceTable {
  return serviceTable(
    ProcessService,
    {
      start: openedStream(
        async (request, caller): Promise<OpenStream<typeof StartResponseSchema>> => {
          const { items, ended, pid } = await service.start(request, caller)
          return { ended, pid, messages: () => messagesOf(items) }
        },
        { limit: COMMAND },
      ),
      execute: unary(service.execute, { limit: COMMAND }),
      writeStdin: unary(service.writeStdin, { limit: INPUT }),
      sendSignal: unary(service.sendSignal),
      resizeTTY: unary(service.resizeTTY),
    },
    { logger: 'process' },
  )
}

type Response = MessageInitShape<typeof StartResponseSchema>

async function* messagesOf(items: AsyncIterable<StreamItem<Output>>): AsyncGenerator<Response[], void> {
  for await (const item of items) {
    const event = toEvent(item)
    if (event !== undefined) yield [{ event }]
  }
}

/** Undefined for a keepalive, which this wire has not. */
function toEvent(item: StreamItem<Output>): Response['event'] {
  switch (item.kind) {
    case 'start':
      return { case: 'init', value: { processId: item.pid } }
    case 'data':
      return { case: item.data.stream === 'stderr' ? 'stderr' : 'stdout', value: item.data.bytes }
    case 'end':
      return { case: 'exit', value: { exitCode: item.end.exitCode } }
    case 'keepalive':
      return undefined
  }
}
