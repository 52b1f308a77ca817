import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { createClient } from '@connectrpc/connect'
import { useEffect, useState } from 'preact/hooks'
import { Metrics, type Sample } from '../../gen/metrics/metrics_pb.js'
import { reasonOf } from '../failure.ts'
import { msOf } from '../format.ts'
import { keepStreaming } from '../reconnect.ts'
import type { Session } from '../session.ts'
import { withSample } from './samples.ts'

/** The samples of the last hour and those that come, each once; and why none come any more. */
export function useSamples(session: Session): { readonly samples: readonly Sample[]; readonly failure: string } {
  const [samples, setSamples] = useState<readonly Sample[]>([])
  const [failure, setFailure] = useState('')
  useEffect(() => {
    const left = new AbortController()
    followSamples(session, setSamples, left.signal).catch((error: unknown) => setFailure(reasonOf(error)))
    return () => left.abort()
  }, [session])
  return { samples, failure }
}

function followSamples(
  session: Session,
  show: (samples: readonly Sample[]) => void,
  signal: AbortSignal,
): Promise<void> {
  const client = createClient(Metrics, session.transport)
  let samples: Sample[] = []
  let drawing = false
  // The samples of an hour come at once, and are drawn once.
  const draw = () => {
    if (drawing) return
    drawing = true
    requestAnimationFrame(() => {
      drawing = false
      if (!signal.aborted) show(samples)
    })
  }
  return keepStreaming(session.connection, signal, async (attempt) => {
    const last = samples.at(-1)
    const from = timestampFromMs(last === undefined ? 0 : msOf(last.timestamp) + 1)
    for await (const { event } of client.watch({ from }, attempt)) {
      attempt.heard()
      if (event.case !== 'sample') continue
      samples = withSample(samples, event.value)
      draw()
    }
    return 'cut'
  })
}
