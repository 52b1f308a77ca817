import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import type { Caller, StreamCaller } from './caller.ts'
import type { Codec } from './message-frame.ts'
import type { MessageLimit } from './message-limit.ts'

/** What a method may say about its requests. */
export interface RequestOptions {
  /** Limit of one request message; default: ORDINARY_MESSAGE. */
  readonly limit?: MessageLimit
}

/** How a unary method is answered. */
export interface Unary<I extends DescMessage = DescMessage, O extends DescMessage = DescMessage>
  extends RequestOptions {
  readonly kind: 'unary'
  run(request: MessageShape<I>, caller: Caller): MessageInitShape<O> | Promise<MessageInitShape<O>>
  /** Is called with an answer of which a copy has been made, to free what it has of memory. */
  encoded?(answer: MessageShape<O>): void
}

/** How a unary method is answered whose answer is one list, of any length: it is encoded and sent piece by piece. */
export interface List<I extends DescMessage = DescMessage, O extends DescMessage = DescMessage> extends RequestOptions {
  readonly kind: 'list'
  /** JSON name of the field that is the list. */
  readonly field: string
  /**
   * Answers that have a part of the list each and nothing else, made as they are taken; at the end there may be one
   * that has the other fields.
   */
  parts(request: MessageShape<I>, caller: Caller): AsyncGenerator<MessageInitShape<O>, void>
}

/** How a server stream is answered. */
export interface ServerStream<I extends DescMessage = DescMessage, O extends DescMessage = DescMessage>
  extends RequestOptions {
  readonly kind: 'server stream'
  open(request: MessageShape<I>, caller: StreamCaller): Promise<OpenStream<O>>
}

/** How a client stream is answered. */
export interface ClientStream<I extends DescMessage = DescMessage, O extends DescMessage = DescMessage>
  extends RequestOptions {
  readonly kind: 'client stream'
  /** A long request message as several that say the same; undefined for one that is passed on as it is. */
  split(message: MessageShape<I>): Iterable<MessageShape<I>> | undefined
  run(requests: AsyncIterable<MessageShape<I>>, caller: Caller): Promise<MessageInitShape<O>>
}

/** How a method is answered, whatever its kind. */
export type Implementation = Unary | List | ServerStream | ClientStream

/** A server stream that is under way. Either its messages or its frames are taken, once. A failure ends the stream. */
export interface OpenStream<O extends DescMessage = DescMessage> {
  /** Messages; those that are there at the same time come together. */
  messages(): AsyncIterable<readonly MessageInitShape<O>[]>
  /** The same as frames that were made without messages. */
  readonly frames?: (codec: Codec) => FrameSource
  /** Response headers that say something of this stream. */
  readonly headers?: Readonly<Record<string, string>>
  /** Aborts when the stream must end even though its client does not read. */
  readonly ended: AbortSignal
  /** The process that the stream follows, if it follows one. */
  readonly pid?: number | undefined
}

/** Frames that were made without messages. */
export interface FrameSource {
  /** Envelopes, ready to be sent. */
  readonly frames: AsyncIterable<Uint8Array>
  /** To be called with every frame that was sent: its memory is used again. */
  sent(frame: Uint8Array): void
}
