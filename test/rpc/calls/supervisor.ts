import { expect } from 'vitest'
import { State } from '../../../src/gen/supervisor/supervisor_pb.js'

import { type Calls, first } from './visit.ts'

export const SUPERVISOR_CALLS: Calls = {
  'supervisor.Supervisor/Get': async ({ supervisor }) => {
    expect((await supervisor.get({})).status?.state).not.toBe(State.UNSPECIFIED)
  },
  'supervisor.Supervisor/List': async ({ supervisor }) => {
    expect((await supervisor.list({})).statuses.map(({ service }) => service)).toEqual(['start'])
  },
  'supervisor.Supervisor/Watch': async ({ supervisor }) => {
    const { event } = await first((options) => supervisor.watch({}, options))
    expect(event.case).toBe('status')
  },
  'supervisor.Supervisor/Start': async ({ supervisor }) => {
    await supervisor.stop({})
    await expect
      .poll(async () => (await supervisor.get({})).status?.state)
      .toSatisfy((state) => state !== State.STOPPING)
    expect([State.STARTING, State.READY]).toContain((await supervisor.start({})).status?.state)
  },
  'supervisor.Supervisor/Stop': async ({ supervisor }) => {
    expect([State.STOPPING, State.STOPPED]).toContain((await supervisor.stop({})).status?.state)
  },
}
