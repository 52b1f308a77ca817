import type { FunctionComponent } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { View, ViewProps } from './views.ts'

/** A view that is loaded now, or was before. */
type Loaded = { readonly View: FunctionComponent<ViewProps> } | { readonly failure: string } | undefined

/** Shows a view as soon as its code is there. */
export function Lazy({ view, props }: { readonly view: View; readonly props: ViewProps }) {
  const [loaded, setLoaded] = useState<Loaded>(undefined)
  const [attempt, setAttempt] = useState(0)
  useEffect(() => {
    let current = true
    const take = (next: Loaded) => current && setLoaded(next)
    setLoaded(undefined)
    view.load().then(take, (error: unknown) => take({ failure: String(error) }))
    return () => {
      current = false
    }
  }, [view, attempt])
  if (loaded === undefined) return <p class="empty">Loading…</p>
  if ('failure' in loaded)
    return (
      <div class="empty">
        <p role="alert">{view.title} cannot be loaded.</p>
        <button type="button" onClick={() => setAttempt(attempt + 1)}>
          Try again
        </button>
      </div>
    )
  const { View: Shown } = loaded
  return <Shown {...props} />
}
