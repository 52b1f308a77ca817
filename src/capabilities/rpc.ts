import { create, toJsonString } from '@bufbuild/protobuf'
import { unary } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Capabilities, GetResponseSchema } from '../gen/capabilities/capabilities_pb.js'
import type { CapabilitiesService } from './service.ts'

/** The methods of `capabilities.v1.Capabilities`. */
export function capabilitiesRpc(service: CapabilitiesService): ServiceTable {
  return serviceTable(Capabilities, { get: unary(service.get) }, { logger: 'capabilities' })
}

/** The same answer for those who speak HTTP only: JSON with all fields, also those that are false or 0. */
export function capabilitiesJson(service: CapabilitiesService): string {
  const answer = create(GetResponseSchema, service.get())
  return toJsonString(GetResponseSchema, answer, { alwaysEmitImplicit: true, prettySpaces: 2 })
}
