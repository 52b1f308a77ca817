import { useEffect, useState } from 'preact/hooks'
import { Confirm } from '../components/dialog.tsx'
import { nameOf, shownName } from './paths.ts'
import type { Place } from './view.tsx'
import type { Shown } from './viewer.tsx'

/** The file that is open; asks before changes are lost. */
export function useViewer({ file, root }: Place) {
  const [shown, setShown] = useState<Shown | undefined>(undefined)
  const [dirty, setDirty] = useState(false)
  const [waiting, setWaiting] = useState<{ readonly next: Shown | undefined } | undefined>(undefined)
  useEffect(() => {
    if (file !== undefined) setShown({ path: file, kind: 'file' })
  }, [file, root])
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => event.preventDefault()
    if (dirty) window.addEventListener('beforeunload', warn)
    return () => window.removeEventListener('beforeunload', warn)
  }, [dirty])
  const show = (next: Shown | undefined) => {
    setDirty(false)
    setWaiting(undefined)
    setShown(next)
  }
  const ask = (next: Shown | undefined) => (dirty && next?.path !== shown?.path ? setWaiting({ next }) : show(next))
  const question =
    waiting === undefined || shown === undefined ? null : (
      <Confirm
        title={`Discard the changes of ${shownName(nameOf(shown.path))}?`}
        action="Discard"
        onConfirm={() => show(waiting.next)}
        onClose={() => setWaiting(undefined)}
      >
        <p>They are not saved.</p>
      </Confirm>
    )
  return {
    ...{ shown, setDirty, question },
    open: (next: Shown, saved = false) => (saved ? show(next) : ask(next)),
    close: () => ask(undefined),
  }
}
