import type { DescMethod } from '@bufbuild/protobuf'
import { Filesystem } from '../gen/filesystem/filesystem_pb.js'
import { Metrics } from '../gen/metrics/metrics_pb.js'
import { Ports } from '../gen/ports/ports_pb.js'
import { Process } from '../gen/process/process_pb.js'
import { Supervisor } from '../gen/supervisor/supervisor_pb.js'

/** Every method by its path, `/package.Service/Method`. */
export const METHODS: ReadonlyMap<string, DescMethod> = new Map(
  [Process, Filesystem, Metrics, Ports, Supervisor]
    .flatMap((service): readonly DescMethod[] => service.methods)
    .map((method) => [`/${method.parent.typeName}/${method.name}`, method]),
)
