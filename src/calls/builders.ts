import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import type { Caller, StreamCaller } from './caller.ts'
import type { ClientStream, List, OpenStream, RequestOptions, ServerStream, Unary } from './implementation.ts'

/** A unary method. @param run returns the answer; rejects or throws with AppError. */
export function unary<I extends DescMessage, O extends DescMessage>(
  run: (request: MessageShape<I>, caller: Caller) => MessageInitShape<O> | Promise<MessageInitShape<O>>,
  options: RequestOptions & Pick<Unary<I, O>, 'encoded'> = {},
): Unary<I, O> {
  return { kind: 'unary', run, ...options }
}

/** The name of a field of a message that is a list. */
type ListField<O extends DescMessage> = Exclude<keyof MessageShape<O>, '$typeName' | '$unknown'> & string

/** An item of such a field, as it may be given. */
type ItemOf<O extends DescMessage, F extends string> =
  Extract<MessageInitShape<O>, { $typeName?: never }> extends { [name in F]?: readonly (infer T)[] } ? T : never

/** A list as a whole, or in pieces as they are found. */
type Items<T> = Promise<readonly T[]> | AsyncIterable<readonly T[]>

/** Items that are encoded before others may have their turn; 1 ms at most. */
const BATCH = 50

/**
 * A unary method whose answer is one list, which may be so long that encoding it at once would hold up all other calls,
 * and that it must not be in memory as a whole.
 * @param field JSON name of the list, the only field of the answer.
 * @param options batch: items that are encoded before the clock is looked at, default 50.
 */
export function list<I extends DescMessage, O extends DescMessage, F extends ListField<O>>(
  field: F,
  run: (request: MessageShape<I>, caller: Caller) => Items<ItemOf<O, F>>,
  { batch = BATCH, ...options }: RequestOptions & { readonly batch?: number } = {},
): List<I, O> {
  async function* parts(request: MessageShape<I>, caller: Caller): AsyncGenerator<MessageInitShape<O>, void> {
    // The field is one of the message, and its items are what was asked for.
    for await (const items of slices(run(request, caller), batch)) yield { [field]: items } as MessageInitShape<O>
  }
  return { kind: 'list', field, parts, ...options }
}

/**
 * A unary method whose answer has a list beside other fields; it is encoded as `list`, but was made as a whole.
 * @param field JSON name of the list.
 */
export function withList<I extends DescMessage, O extends DescMessage, F extends ListField<O>>(
  field: F,
  run: (request: MessageShape<I>, caller: Caller) => Promise<MessageInitShape<O>>,
): List<I, O> {
  async function* parts(request: MessageShape<I>, caller: Caller): AsyncGenerator<MessageInitShape<O>, void> {
    const { [field]: items, ...others } = (await run(request, caller)) as Readonly<Record<string, unknown>>
    const all: readonly unknown[] = Array.isArray(items) ? items : []
    // Fields of the message, as they were given.
    for await (const piece of slices(Promise.resolve(all), BATCH)) yield { [field]: piece } as MessageInitShape<O>
    yield others as MessageInitShape<O>
  }
  return { kind: 'list', field, parts }
}

async function* slices<T>(items: Items<T>, most: number): AsyncGenerator<readonly T[], void> {
  for await (const piece of Symbol.asyncIterator in items ? items : [await items])
    for (let at = 0; at < piece.length; at += most) yield piece.slice(at, at + most)
}

/**
 * A server stream.
 * @param run yields what it carries; the stream ends with that, or with the caller.
 * @param toMessage makes the answer of one item.
 */
export function stream<I extends DescMessage, O extends DescMessage, T>(
  run: (request: MessageShape<I>, caller: StreamCaller) => AsyncIterable<T>,
  toMessage: (item: T) => MessageInitShape<O>,
): ServerStream<I, O> {
  const open = async (request: MessageShape<I>, caller: StreamCaller): Promise<OpenStream<O>> => ({
    async *messages() {
      for await (const item of run(request, caller)) yield [toMessage(item)]
    },
    ended: caller.signal,
  })
  return { kind: 'server stream', open }
}

/**
 * A server stream of what comes some items at a time, however many; 50 are encoded at once, so that others have their
 * turn between them.
 * @param run, toMessage as those of `stream`.
 */
export function batches<I extends DescMessage, O extends DescMessage, T>(
  run: (request: MessageShape<I>, caller: StreamCaller) => AsyncIterable<readonly T[]>,
  toMessage: (item: T) => MessageInitShape<O>,
): ServerStream<I, O> {
  return openedStream<I, O>(async (request, caller) => ({
    async *messages() {
      for await (const items of run(request, caller))
        for (let at = 0; at < items.length; at += BATCH) yield items.slice(at, at + BATCH).map(toMessage)
    },
    ended: caller.signal,
  }))
}

/** A server stream that is opened first: what fails then is the answer, and it decides when it ends. */
export function openedStream<I extends DescMessage, O extends DescMessage>(
  open: (request: MessageShape<I>, caller: StreamCaller) => Promise<OpenStream<O>>,
  options: RequestOptions = {},
): ServerStream<I, O> {
  return { kind: 'server stream', open, ...options }
}

/** What a client stream may say about its requests. */
interface ClientStreamOptions<I extends DescMessage> extends RequestOptions {
  readonly split?: ClientStream<I>['split']
}

/** A client stream. @param run takes the messages one at a time; an end before all were taken stops the client. */
export function clientStream<I extends DescMessage, O extends DescMessage>(
  run: (requests: AsyncIterable<MessageShape<I>>, caller: Caller) => Promise<MessageInitShape<O>>,
  options: ClientStreamOptions<I> = {},
): ClientStream<I, O> {
  return { kind: 'client stream', split: () => undefined, run, ...options }
}
