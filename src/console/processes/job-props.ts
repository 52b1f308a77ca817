import type { Job } from '../../gen/jobs/v1/jobs_pb.js'
import type { Notify } from '../components/toast.tsx'
import type { Session } from '../session.ts'

/** What a part of the page about one job gets. */
export interface JobProps {
  readonly session: Session
  readonly job: Job
  readonly notify: Notify
}
