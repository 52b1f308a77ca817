import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ByteBudget } from '../budget/budget.ts'
import { Process, type ProcessInfoSchema } from '../gen/process/process_pb.js'
import type { ProcessService } from '../process/service.ts'

type Info = MessageInitShape<typeof ProcessInfoSchema>

/** List of the Process service, as `listMethod` and `listHandler` take it: each process may have 2 MiB of arguments and environment. */
export function processList(service: ProcessService, budget: ByteBudget) {
  return [
    Process.method.list,
    { name: 'processes', batch: 1, wrap: (processes: readonly Info[]) => ({ processes: [...processes] }) },
    { run: async () => service.list().processes, budget },
  ] as const
}
