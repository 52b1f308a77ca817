import { create } from '@bufbuild/protobuf'
import { type StreamInputRequest, StreamInputRequestSchema } from '../gen/process/process_pb.js'

/** Bytes of one piece. The library takes 10 ms for it in base64. */
const PIECE = 128 * 1024

/** One message of StreamInput as several with the same input, in order; undefined for one without input. */
export function splitInput({ event }: StreamInputRequest): Iterable<StreamInputRequest> | undefined {
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
