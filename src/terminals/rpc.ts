import type { MessageInitShape } from '@bufbuild/protobuf'
import { list, openedStream, unary } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { type AttachResponseSchema, type RecordResponseSchema, Terminals } from '../gen/terminals/v1/terminals_pb.js'
import { COMMAND, INPUT } from '../process/rpc.ts'
import type { Attachment, TerminalItem } from './attachment.ts'
import type { TerminalsService } from './service.ts'

type Response = MessageInitShape<typeof AttachResponseSchema>
type Line = MessageInitShape<typeof RecordResponseSchema>

/** The methods of `terminals.v1.Terminals`. */
export function terminalsRpc(service: TerminalsService): ServiceTable {
  return serviceTable(
    Terminals,
    {
      open: openedStream(async (request, caller) => answers(await service.open(request, caller)), { limit: COMMAND }),
      attach: openedStream(async (request, caller) => answers(await service.attach(request, caller))),
      list: list('terminals', service.list),
      write: unary(service.write, { limit: INPUT }),
      resize: unary(service.resize),
      close: unary(service.close),
      record: openedStream(async (request, caller) => {
        const { items, ended, pid } = await service.record(request, caller)
        return { ended, pid, messages: () => lines(items) }
      }),
    },
    { logger: 'terminals' },
  )
}

function answers({ items, ended, pid, started }: Attachment & { readonly started: boolean }) {
  return { ended, pid, messages: () => messagesOf(items, started) }
}

async function* messagesOf(items: AsyncIterable<TerminalItem>, started: boolean): AsyncGenerator<Response[], void> {
  for await (const item of items) yield [{ event: toEvent(item, started) }]
}

async function* lines(items: AsyncIterable<string>): AsyncGenerator<Line[], void> {
  for await (const line of items)
    yield [
      { event: line === 'keepalive' ? { case: 'keepalive', value: {} } : { case: 'line', value: Buffer.from(line) } },
    ]
}

function toEvent(item: TerminalItem, started: boolean): NonNullable<Response['event']> {
  switch (item.kind) {
    case 'attached': {
      const { pid, tag: name = '' } = item.terminal.process
      return { case: 'attached', value: { pid, name, client: item.client, size: item.size, started } }
    }
    case 'screen': {
      const { offset, size, alternate, title, cwd } = item.snapshot
      return {
        case: 'screen',
        value: { data: item.part, more: item.more, offset: BigInt(offset), size, alternate, title, cwd },
      }
    }
    case 'output':
      return { case: 'output', value: { data: item.bytes, offset: BigInt(item.offset) } }
    case 'resized':
      return { case: 'resized', value: item.size }
    case 'end': {
      const { exitCode, exited, status, error } = item.end
      return { case: 'end', value: { exitCode, exited, status, ...(error === undefined ? {} : { error }) } }
    }
    case 'keepalive':
      return { case: 'keepalive', value: {} }
  }
}
