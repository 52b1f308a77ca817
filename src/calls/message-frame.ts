import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { freeNow } from '../budget/memory.ts'
import { envelope } from './envelope.ts'
import { messageJson } from './message-json.ts'

/** How a Connect stream or call carries its messages. */
export type Codec = 'json' | 'proto'

/** A message as it travels, without an envelope; in memory of its own where it is long. */
export function encodeMessage<O extends DescMessage>(schema: O, message: MessageShape<O>, codec: Codec): Buffer {
  if (codec === 'json') {
    const json = messageJson(schema, message)
    return typeof json === 'string' ? Buffer.from(json) : json
  }
  const { buffer, byteOffset, length } = toBinary(schema, message)
  return Buffer.from(buffer, byteOffset, length)
}

/** A message in its envelope. */
export function messageFrame<O extends DescMessage>(schema: O, message: MessageShape<O>, codec: Codec): Buffer {
  const bytes = encodeMessage(schema, message, codec)
  const frame = envelope(0, bytes.length, (whole, offset) => bytes.copy(whole, offset))
  freeNow(bytes)
  return frame
}
