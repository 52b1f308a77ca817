import type {
  DescMethod,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  Message,
} from '@bufbuild/protobuf'
import type { ClientStream, Implementation, List, ServerStream, Unary } from './implementation.ts'
import { type MessageLimit, ORDINARY_MESSAGE } from './message-limit.ts'

/** How each method of a service is answered: a type error unless there is one entry for every method of the proto. */
export type Methods<S extends DescService> = { readonly [N in keyof S['method']]: ImplementationOf<S['method'][N]> }

type ImplementationOf<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? Unary<I, O> | List<I, O>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? ServerStream<I, O>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? ClientStream<I, O>
        : never

/** A service, ready to be served in every protocol. */
export interface ServiceTable {
  readonly service: DescService
  /** In the order of the proto. */
  readonly methods: readonly TableMethod[]
  /** The name that calls are logged under. */
  readonly logger: string
}

/** One method of a service. */
export interface TableMethod {
  /** `package.Service/Method`. */
  readonly name: string
  readonly description: DescMethod
  readonly implementation: Implementation
  /** Limit of one request message. */
  readonly limit: MessageLimit
  /** Takes out of an answer, in place, what the oldest clients do not know; undefined: nothing. */
  readonly reduce: ((answer: Message) => void) | undefined
}

/** What is the same for all methods of a service. */
interface ServiceOptions extends Partial<Pick<TableMethod, 'reduce'>> {
  /** Default: the name of its package. */
  readonly logger?: string
}

/** Makes the table of a service. */
export function serviceTable<S extends DescService>(
  service: S,
  methods: Methods<S>,
  { logger = service.file.proto.package, reduce }: ServiceOptions = {},
): ServiceTable {
  // `Methods` has an entry for every method.
  const byName = methods as Readonly<Record<string, Implementation>>
  const toMethod = (description: DescMethod): TableMethod => {
    const implementation = byName[description.localName]
    const name = `${service.typeName}/${description.name}`
    if (implementation === undefined) throw new Error(`${name} is not implemented`)
    return { name, description, implementation, limit: implementation.limit ?? ORDINARY_MESSAGE, reduce }
  }
  return { service, methods: service.methods.map(toMethod), logger }
}
