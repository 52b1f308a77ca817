import { useRef, useState } from 'preact/hooks'
import { Confirm } from './components/dialog.tsx'
import { hrefOf, type Route, useRoute } from './router.ts'

/** The route that is shown; one of another view is asked about first where something would be lost. */
export function useSafeRoute(viewOf: (route: Route) => string) {
  const [asked, ask] = useState<Route | undefined>(undefined)
  const unsaved = useRef<string | undefined>(undefined)
  const shown = useRef('')
  const [route, go, show] = useRoute((next) => {
    const leaves = unsaved.current !== undefined && viewOf(next) !== shown.current
    ask(leaves ? next : undefined)
    return !leaves
  })
  shown.current = viewOf(route)
  const leave = () => {
    unsaved.current = undefined
    ask(undefined)
    if (asked !== undefined) show(asked)
  }
  const stay = () => {
    ask(undefined)
    // The address says again what is shown.
    location.replace(hrefOf(route))
  }
  const question =
    asked === undefined ? null : (
      <Confirm title={`Discard the changes of ${unsaved.current}?`} action="Discard" onConfirm={leave} onClose={stay}>
        <p>They are not saved.</p>
      </Confirm>
    )
  const setUnsaved = useRef((what: string | undefined) => {
    unsaved.current = what
  }).current
  return { route, go, question, setUnsaved }
}
