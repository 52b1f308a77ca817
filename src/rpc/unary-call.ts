import { create } from '@bufbuild/protobuf'
import type { ByteBudget } from '../budget/budget.ts'
import type { Caller } from '../calls/caller.ts'
import { encodeMessage } from '../calls/message-frame.ts'
import { messageJson } from '../calls/message-json.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { type DecodeOptions, decodeMessage } from './decode-message.ts'
import { reducing } from './legacy.ts'
import { listAnswer } from './list-answer.ts'
import type { UnaryAnswer } from './unary-answer.ts'

/** A request as it came, inflated, and how it is decoded. */
interface RequestBytes {
  readonly bytes: Buffer
  readonly how: DecodeOptions
}

/** Decodes a request, calls the method, encodes its answer. Rejects with AppError. */
export async function callUnary(
  method: TableMethod,
  { bytes, how }: RequestBytes,
  { caller, budget }: { readonly caller: Caller; readonly budget: ByteBudget },
): Promise<UnaryAnswer> {
  const { implementation, description } = method
  const { codec } = how
  const request = await decodeMessage(description.input, bytes, how)
  const reduce = reducing(method, caller)
  if (implementation.kind === 'list') {
    const parts = implementation.parts(request, caller)
    return listAnswer(parts, { field: implementation.field, output: description.output, codec, caller, reduce, budget })
  }
  if (implementation.kind !== 'unary') throw new Error(`${method.name} is a stream`)
  const answer = create(description.output, await implementation.run(request, caller))
  reduce?.(answer)
  const { output } = description
  const body = codec === 'json' ? messageJson(output, answer) : encodeMessage(output, answer, codec)
  implementation.encoded?.(answer)
  return { body, legacy: reduce !== undefined }
}
