import { create } from '@bufbuild/protobuf'
import type { ByteBudget } from '../budget/budget.ts'
import type { Memory } from '../budget/memory.ts'
import type { Caller } from '../calls/caller.ts'
import { type Codec, encodeMessage, messageText } from '../calls/message-frame.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { decodeMessage } from './decode-message.ts'
import { reducing } from './legacy.ts'
import { listAnswer } from './list-answer.ts'
import type { UnaryAnswer } from './unary-answer.ts'

/** A request as it came, inflated, and the memory that it may take. */
interface RequestBytes {
  readonly bytes: Buffer
  readonly codec: Codec
  readonly memory: Memory
}

/** Decodes a request, calls the method, encodes its answer. Rejects with AppError. */
export async function callUnary(
  method: TableMethod,
  { bytes, codec, memory }: RequestBytes,
  { caller, budget }: { readonly caller: Caller; readonly budget: ByteBudget },
): Promise<UnaryAnswer> {
  const { implementation, description } = method
  const request = await decodeMessage(description.input, bytes, {
    codec,
    memory,
    get signal() {
      return caller.signal
    },
  })
  const reduce = reducing(method, caller)
  if (implementation.kind === 'list') {
    const parts = implementation.parts(request, caller)
    return listAnswer(parts, { field: implementation.field, output: description.output, codec, caller, reduce, budget })
  }
  if (implementation.kind !== 'unary') throw new Error(`${method.name} is a stream`)
  const answer = create(description.output, await implementation.run(request, caller))
  reduce?.(answer)
  const { output } = description
  const body = codec === 'json' ? messageText(output, answer) : encodeMessage(output, answer, codec)
  return { body, legacy: reduce !== undefined }
}
