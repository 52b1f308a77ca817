import { Dialog } from '../components/dialog.tsx'
import { DiffView } from './code-view.tsx'
import { shownName } from './paths.ts'

/** A file that another process has changed. */
export interface Conflict {
  readonly mine: string
  /** Undefined: the file is gone, or is no text any longer. */
  readonly theirs: string | undefined
  /** Of the file as it is now; undefined: it is gone. */
  readonly tag: string | undefined
}

interface ConflictProps {
  readonly conflict: Conflict
  readonly name: string
  readonly onOverwrite: () => void
  readonly onReload: () => void
  readonly onKeepCopy: () => void
  readonly onClose: () => void
}

/** Asks what becomes of a text whose file has changed since it was read. */
export function ConflictDialog({ conflict, name, onOverwrite, onReload, onKeepCopy, onClose }: ConflictProps) {
  const { mine, theirs, tag } = conflict
  return (
    <Dialog title={`${shownName(name)} has changed on the disk`} onClose={onClose}>
      <div class="body conflict">
        {theirs === undefined ? (
          <p>{tag === undefined ? 'The file was removed or moved.' : 'The file is not a text any longer.'}</p>
        ) : (
          <>
            <div class="sides note" aria-hidden="true">
              <span>On the disk</span>
              <span>Yours</span>
            </div>
            <DiffView mine={mine} theirs={theirs} />
          </>
        )}
      </div>
      <footer>
        <button type="button" onClick={onClose}>
          Go on editing
        </button>
        <button type="button" class="danger" disabled={tag === undefined} onClick={onReload}>
          Reload, discard mine
        </button>
        <button type="button" class="danger" onClick={onOverwrite}>
          Overwrite with mine
        </button>
        <button type="button" class="primary" onClick={onKeepCopy}>
          Keep mine as a copy
        </button>
      </footer>
    </Dialog>
  )
}
