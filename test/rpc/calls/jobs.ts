import { expect } from 'vitest'
import { Signal as JobSignal, State as JobState } from '../../../src/gen/jobs/v1/jobs_pb.js'
import { collected } from '../../_util/collected.ts'
import { heard, started } from '../typed-clients.ts'

import { byTag, bytes, type Calls, first, type Visit } from './visit.ts'

/** Runs a command to its end; what its job must then say. */
async function ended({ process, tag }: Visit) {
  const { pid } = await heard(process.start({ process: { cmd: 'echo', args: ['out'] }, tag }))
  return { pid, tag, cmd: 'echo', args: ['out'], state: JobState.ENDED, exitCode: 0, outputBytes: 4n }
}

export const JOBS_CALLS: Calls = {
  'jobs.v1.Jobs/Get': async (visit) => {
    const done = await ended(visit)
    expect((await visit.jobs.get({ job: byTag(visit.tag) })).job).toMatchObject(done)
  },
  'jobs.v1.Jobs/List': async (visit) => {
    const done = await ended(visit)
    expect((await visit.jobs.list({ filter: { tag: visit.tag } })).jobs).toMatchObject([done])
  },
  'jobs.v1.Jobs/Wait': async (visit) => {
    const done = await ended(visit)
    const { job, stdout } = await visit.jobs.wait({ job: byTag(visit.tag), tailBytes: 3 })
    expect(job).toMatchObject(done)
    expect(Buffer.from(stdout).toString()).toBe('ut\n')
  },
  'jobs.v1.Jobs/Read': async (visit) => {
    const done = await ended(visit)
    const events = await collected(visit.jobs.read({ job: byTag(visit.tag) }))
    expect(events.map(({ event }) => event.case)).toEqual(['start', 'data', 'end'])
    expect(events.at(-1)?.event.value).toMatchObject(done)
  },
  'jobs.v1.Jobs/Write': async (visit) => {
    const { rest } = await started(visit.process.start({ process: { cmd: 'cat' }, tag: visit.tag, stdin: true }))
    const job = byTag(visit.tag)
    const write = () => visit.jobs.write({ job, data: bytes('once'), offset: 0n })
    expect([await write(), await write()].map(({ written }) => written)).toEqual([4n, 4n])
    await visit.jobs.write({ job, eof: true })
    expect(await heard(rest)).toMatchObject({ stdout: 'once' })
  },
  'jobs.v1.Jobs/Kill': async (visit) => {
    const { rest } = await started(visit.process.start({ process: { cmd: 'cat' }, tag: visit.tag, stdin: true }))
    const { job, left } = await visit.jobs.kill({ job: byTag(visit.tag), signal: JobSignal.SIGKILL })
    expect(job).toMatchObject({ state: JobState.ENDED, status: 'signal: killed', signal: 'killed' })
    expect(left).toEqual([])
    await heard(rest)
  },
  'jobs.v1.Jobs/Watch': async ({ jobs }) => {
    const { event } = await first((options) => jobs.watch({}, options))
    expect(event.case).toBe('watching')
  },
}
