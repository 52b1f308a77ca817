import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { envelope } from './envelope.ts'
import { messageJson } from './message-json.ts'

/** How a Connect stream or call carries its messages. */
export type Codec = 'json' | 'proto'

/** A message in JSON, as it travels. */
export function messageText<O extends DescMessage>(schema: O, message: MessageShape<O>): string {
  return JSON.stringify(messageJson(schema, message))
}

/** A message as it travels, without an envelope. */
export function encodeMessage<O extends DescMessage>(schema: O, message: MessageShape<O>, codec: Codec): Buffer {
  if (codec === 'json') return Buffer.from(messageText(schema, message))
  const { buffer, byteOffset, length } = toBinary(schema, message)
  return Buffer.from(buffer, byteOffset, length)
}

/** A message in its envelope. */
export function messageFrame<O extends DescMessage>(schema: O, message: MessageShape<O>, codec: Codec): Buffer {
  const bytes = encodeMessage(schema, message, codec)
  return envelope(0, bytes.length, (frame, offset) => bytes.copy(frame, offset))
}
