import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ServiceTable } from '../calls/service-table.ts'
import type { GetResponseSchema } from '../gen/capabilities/capabilities_pb.js'

/** Something that is there on some machines only. */
export interface Feature {
  readonly name: string
  readonly on: boolean
  /** Why, for people. */
  readonly reason: string
}

/** What the daemon can. */
interface CapabilitiesDeps {
  readonly commit: string
  readonly compatibilityVersion: string
  /** As of the call. */
  readonly services: () => readonly ServiceTable[]
  /** By name, with the unit at the end. */
  readonly limits: Readonly<Record<string, number>>
  /** Asked at each call: addresses come and go. */
  readonly features: () => readonly Feature[]
}

/** The call of `capabilities.v1.Capabilities`. */
export interface CapabilitiesService {
  get(): MessageInitShape<typeof GetResponseSchema>
}

/** Makes the service. It keeps nothing: what it says is read from the tables, constants and parts themselves. */
export function createCapabilitiesService(deps: CapabilitiesDeps): CapabilitiesService {
  const { commit, compatibilityVersion, services, limits, features } = deps
  return {
    get: () => ({
      commit,
      compatibilityVersion,
      services: services().map(({ service, methods }) => ({
        name: service.typeName,
        methods: methods.map(({ description, limit }) => ({ name: description.name, maxMessageBytes: limit.bytes })),
      })),
      limits: Object.entries(limits).map(([name, value]) => ({ name, value })),
      features: features().map(({ name, on, reason }) => ({ name, on, reason })),
    }),
  }
}
