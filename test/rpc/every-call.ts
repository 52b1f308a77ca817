import { AGENT_SANDBOX_CALLS } from './calls/agent-sandbox.ts'
import { FILES_CALLS } from './calls/files.ts'
import { FILESYSTEM_CALLS } from './calls/filesystem.ts'
import { JOBS_CALLS } from './calls/jobs.ts'
import { MACHINE_CALLS } from './calls/machine.ts'
import { PROCESS_CALLS } from './calls/process.ts'
import { SUPERVISOR_CALLS } from './calls/supervisor.ts'
import { TERMINALS_CALLS } from './calls/terminals.ts'
import type { Calls } from './calls/visit.ts'

/** A call of each RPC, by its name. */
export const CALLS: Calls = {
  ...FILES_CALLS,
  ...JOBS_CALLS,
  ...MACHINE_CALLS,
  ...TERMINALS_CALLS,
  ...AGENT_SANDBOX_CALLS,
  ...PROCESS_CALLS,
  ...FILESYSTEM_CALLS,
  ...SUPERVISOR_CALLS,
}
