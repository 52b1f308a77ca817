import { useEffect, useState } from 'preact/hooks'
import { Confirm } from '../components/dialog.tsx'
import type { ViewProps } from '../views.ts'
import { nameOf, shownName } from './paths.ts'
import type { Place } from './view.tsx'
import type { Shown } from './viewer.tsx'

/** The file that is open; asks before changes are lost, and reports them to the page. */
export function useViewer({ file, root }: Place, setUnsaved: ViewProps['setUnsaved']) {
  const [shown, setShown] = useState<Shown | undefined>(undefined)
  const [dirty, setDirty] = useState(false)
  const [waiting, setWaiting] = useState<{ readonly go: () => void } | undefined>(undefined)
  const show = (next: Shown | undefined) => {
    setDirty(false)
    setShown(next)
  }
  const leave = (go: () => void) => (dirty ? setWaiting({ go }) : go())
  const ask = (next: Shown | undefined) => (next?.path === shown?.path ? setShown(next) : leave(() => show(next)))
  useEffect(() => {
    if (file !== undefined) ask({ path: file, kind: 'file' })
  }, [file, root])
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => event.preventDefault()
    if (dirty) window.addEventListener('beforeunload', warn)
    setUnsaved(dirty && shown !== undefined ? shownName(nameOf(shown.path)) : undefined)
    return () => {
      window.removeEventListener('beforeunload', warn)
      setUnsaved(undefined)
    }
  }, [dirty, shown?.path])
  const go = () => {
    setWaiting(undefined)
    waiting?.go()
  }
  const question =
    waiting === undefined || shown === undefined ? null : (
      <Confirm
        title={`Discard the changes of ${shownName(nameOf(shown.path))}?`}
        action="Discard"
        onConfirm={go}
        onClose={() => setWaiting(undefined)}
      >
        <p>They are not saved.</p>
      </Confirm>
    )
  return {
    ...{ shown, setDirty, question, leave },
    open: (next: Shown, saved = false) => (saved ? show(next) : ask(next)),
    close: () => ask(undefined),
  }
}
