import { describe, expect, test } from 'vitest'
import type { RestartMode } from '../../src/config/supervisor.ts'
import type { Cause, FailedAttempt } from '../../src/supervisor/cause.ts'
import { NO_RESTARTS } from '../../src/supervisor/restarts.ts'
import { type Event, type State, type StateMachine, transition } from '../../src/supervisor/state-machine.ts'
import { PACE } from '../../src/supervisor/timing.ts'

const timing = { ...PACE, readyTimeout: 600_000, attemptTimeout: 180_000, liveInterval: 5_000, liveTimeout: 10_000 }
const output = Buffer.from('last words')
const attempt: FailedAttempt = { probe: 'ready', status: 'exit status 7', output }
const failed: Cause = { kind: 'exit', code: 1, output }
const well: Cause = { kind: 'exit', code: 0, output }
const notReady: Cause = { kind: 'not ready', attempt }
const notLive = (failures: number) => ({ kind: 'not live', attempt, failures }) as const
const requested: Cause = { kind: 'requested' }

const states = {
  waiting: { name: 'waiting' },
  starting: { name: 'starting', attempt: undefined },
  ready: { name: 'ready', since: 0 },
  degraded: { name: 'degraded', since: 0, cause: notLive(1) },
  stopping: { name: 'stopping' },
  'backing off': { name: 'backing off', cause: failed, delay: 1000 },
  failed: { name: 'failed', cause: failed, givenUp: false },
  stopped: { name: 'stopped', cause: well },
} satisfies Record<State['name'], State>

const events = {
  begin: { kind: 'begin' },
  'attempt failed': { kind: 'attempt failed', attempt },
  ready: { kind: 'ready' },
  'not ready': { kind: 'not ready', attempt },
  'ended well': { kind: 'ended', cause: well, stillReady: false },
  'ended well, still ready': { kind: 'ended', cause: well, stillReady: true },
  'ended badly': { kind: 'ended', cause: failed, stillReady: false },
  stop: { kind: 'stop' },
  gone: { kind: 'gone' },
} satisfies Record<string, Event>

/** The machine after an event; by default one that never restarted, 1 s after time 0. */
function moved(state: State, event: Event, { mode = 'never' as RestartMode, now = 1000, restarts = NO_RESTARTS } = {}) {
  return transition({ state, restarts }, event, { mode, liveFailures: 3, timing, now, random: 0.5 })
}

/** What leaves each state; every other event is ignored. */
const ways: Partial<Record<keyof typeof states, Partial<Record<keyof typeof events, State>>>> = {
  waiting: { begin: states.starting, stop: { name: 'stopped', cause: requested } },
  starting: {
    'attempt failed': { name: 'starting', attempt },
    ready: { name: 'ready', since: 1000 },
    'not ready': { name: 'failed', cause: notReady, givenUp: false },
    'ended badly': { name: 'failed', cause: failed, givenUp: false },
    stop: states.stopping,
  },
  ready: {
    'attempt failed': states.degraded,
    'ended well': { name: 'stopped', cause: well },
    'ended badly': { name: 'failed', cause: failed, givenUp: false },
    stop: states.stopping,
  },
  degraded: {
    'attempt failed': { name: 'degraded', since: 0, cause: notLive(2) },
    ready: { name: 'ready', since: 1000 },
    'ended well': { name: 'stopped', cause: well },
    'ended badly': { name: 'failed', cause: failed, givenUp: false },
    stop: states.stopping,
  },
  stopping: { gone: { name: 'stopped', cause: requested } },
  'backing off': { begin: states.starting, stop: states.stopping },
  failed: { begin: states.starting, stop: states.stopping },
  stopped: { begin: states.starting },
}

const table = Object.entries(states).flatMap(([name, state]) =>
  Object.entries(events).map(([event, what]) => {
    // The keys of the two tables above.
    const next = ways[name as keyof typeof states]?.[event as keyof typeof events]
    return { name, event, state, what, next: next ?? state, ignored: next === undefined }
  }),
)

test.each(table)('K14 K15 without restarts, in $name comes "$event": $next.name', ({ state, what, next, ignored }) => {
  const machine: StateMachine = { state, restarts: NO_RESTARTS }
  const result = transition(machine, what, { mode: 'never', liveFailures: 3, timing, now: 1000, random: 0.5 })
  expect(result.state).toEqual(next)
  if (ignored) expect(result).toBe(machine)
})

describe('restarts', () => {
  const later = { name: 'backing off', delay: 1000 }

  test('on-failure starts again what failed, was never ready or could not be started, but not what ended well', () => {
    const mode = 'on-failure'
    expect(moved(states.starting, events['ended badly'], { mode }).state).toEqual({ ...later, cause: failed })
    expect(moved(states.ready, events['ended badly'], { mode }).state).toEqual({ ...later, cause: failed })
    expect(moved(states.starting, events['not ready'], { mode }).state).toEqual({ ...later, cause: notReady })
    const notStarted: Cause = { kind: 'not started', error: 'invalid_argument', message: 'no such directory' }
    const event: Event = { kind: 'ended', cause: notStarted, stillReady: false }
    expect(moved(states.starting, event, { mode }).state).toEqual({ ...later, cause: notStarted })
    expect(moved(states.starting, events['ended well'], { mode }).state).toEqual(states.starting)
    expect(moved(states.ready, events['ended well'], { mode }).state).toEqual({ name: 'stopped', cause: well })
    expect(moved(states.ready, events['ended well, still ready'], { mode }).state).toEqual(states.ready)
  })

  test('always starts again whatever ended', () => {
    const mode = 'always'
    expect(moved(states.starting, events['ended well'], { mode }).state).toEqual({ ...later, cause: well })
    expect(moved(states.ready, events['ended well, still ready'], { mode }).state).toEqual({ ...later, cause: well })
  })

  test('a live command that fails three times in a row is a failure, and less than that is not', () => {
    const mode = 'on-failure'
    const second = moved(states.degraded, events['attempt failed'], { mode })
    expect(second.state).toEqual({ name: 'degraded', since: 0, cause: notLive(2) })
    const third = moved(second.state, events['attempt failed'], { mode })
    expect(third).toMatchObject({ state: { ...later, cause: notLive(3) }, restarts: { streak: 1 } })
    const recovered = moved(second.state, events.ready, { mode }).state
    expect(moved(recovered, events['attempt failed'], { mode }).state).toMatchObject({ cause: notLive(1) })
  })

  test('after 60 s of being ready the wait is the first again, before that it grows', () => {
    const restarts = { streak: 3, times: [0, 1, 2] }
    const delayAt = (now: number) => {
      const { state } = moved(states.ready, events['ended badly'], { mode: 'on-failure', now, restarts })
      return state.name === 'backing off' ? state.delay : undefined
    }
    expect(delayAt(59_999)).toBe(8000)
    expect(delayAt(60_000)).toBe(1000)
  })

  test('after 10 restarts in 5 minutes it is given up, and a start by hand counts anew', () => {
    const restarts = { streak: 10, times: Array.from({ length: 10 }, (_, i) => i) }
    const { state } = moved(states.ready, events['ended badly'], { mode: 'always', restarts })
    expect(state).toEqual({ name: 'failed', cause: failed, givenUp: true })
    expect(moved(state, events.begin, { restarts })).toEqual({ state: states.starting, restarts: NO_RESTARTS })
  })
})
