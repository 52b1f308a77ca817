import { create, type Message } from '@bufbuild/protobuf'
import { type StreamInputRequest, StreamInputRequestSchema } from '../gen/process/process_pb.js'

/** Bytes of one piece. The library takes 20 ms for it in base64. */
const PIECE = 256 * 1024

/** One message of StreamInput as several with the same input, in order; undefined for any other message. */
export function splitInput(message: Message): Iterable<StreamInputRequest> | undefined {
  if (message.$typeName !== StreamInputRequestSchema.typeName) return undefined
  // The type name says so.
  const { event } = message as StreamInputRequest
  const input = event.case === 'data' ? event.value.input?.input : undefined
  return input?.case === undefined ? undefined : pieces(input)
}

function* pieces(input: {
  readonly case: 'stdin' | 'pty'
  readonly value: Uint8Array
}): Generator<StreamInputRequest, void> {
  let at = 0
  do {
    const value = input.value.subarray(at, at + PIECE)
    yield create(StreamInputRequestSchema, {
      event: { case: 'data', value: { input: { input: { case: input.case, value } } } },
    })
    at += PIECE
  } while (at < input.value.length)
}
