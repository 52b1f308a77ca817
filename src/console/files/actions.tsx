import { Confirm, Prompt } from '../components/dialog.tsx'
import type { Notify } from '../components/toast.tsx'
import type { FilesApi } from './api.ts'
import type { Entry } from './entry.ts'
import { FileFailure, textOf } from './failure.ts'
import { joinPath, nameOf, parentOf, problemWithName, shownName } from './paths.ts'

/** What is asked before something is done. */
export type Asked =
  | { readonly kind: 'file' | 'directory'; readonly directory: string }
  | { readonly kind: 'rename'; readonly entry: Entry }
  | { readonly kind: 'remove'; readonly entries: readonly Entry[] }

interface ActionsProps {
  readonly api: FilesApi
  readonly asked: Asked
  readonly notify: Notify
  /** It was done, or given up. @param path what is there now. */
  readonly onDone: (path?: string) => void
}

/** Names of files that a question lists. */
const LISTED = 8

/** Asks for a name, or whether something is to be deleted, and does it. */
export function Actions({ api, asked, notify, onDone }: ActionsProps) {
  const run = async (work: () => Promise<void>, path?: string) => {
    try {
      await work()
      onDone(path)
    } catch (error) {
      notify(textOf(error), 'error')
    }
  }
  const close = () => onDone()
  if (asked.kind === 'remove') return <Remove entries={asked.entries} {...{ api, run, onDone }} />
  const named = (directory: string, work: (path: string) => Promise<void>) => (name: string) => {
    const problem = problemWithName(name)
    const path = joinPath(directory, name)
    if (problem === undefined) void run(() => work(path), path)
    else notify(problem, 'error')
  }
  if (asked.kind === 'rename') {
    const { path } = asked.entry
    const move = named(parentOf(path), (to) => (to === path ? Promise.resolve() : api.move(path, to)))
    return (
      <Prompt title="Rename" label="New name" value={nameOf(path)} action="Rename" onSubmit={move} onClose={close} />
    )
  }
  const make = (path: string) => (asked.kind === 'directory' ? api.makeDirectory(path) : makeFile(api, path))
  const title = asked.kind === 'directory' ? 'New directory' : 'New file'
  return (
    <Prompt
      title={title}
      label={`Name in ${shownName(asked.directory)}`}
      action="Create"
      onSubmit={named(asked.directory, make)}
      onClose={close}
    />
  )
}

async function makeFile(api: FilesApi, path: string): Promise<void> {
  try {
    await api.write(path, '', 'absent')
  } catch (error) {
    const exists = error instanceof FileFailure && error.status === 412
    throw exists ? new FileFailure(`It exists already: ${shownName(path)}`, 409) : error
  }
}

interface RemoveProps {
  readonly entries: readonly Entry[]
  readonly api: FilesApi
  readonly run: (work: () => Promise<void>) => Promise<void>
  readonly onDone: () => void
}

function Remove({ entries, api, run, onDone }: RemoveProps) {
  const remove = async () => {
    for (const { path } of entries) await api.remove(path)
  }
  const [first] = entries
  const title =
    entries.length === 1 && first !== undefined
      ? `Delete ${shownName(first.name)}?`
      : `Delete ${entries.length} entries?`
  const directories = entries.some(({ kind, target }) => kind === 'directory' && target === undefined)
  return (
    <Confirm title={title} action="Delete" onConfirm={() => void run(remove)} onClose={onDone}>
      <ul class="listed">
        {entries.slice(0, LISTED).map(({ path }) => (
          <li key={path}>
            <bdi>{shownName(path)}</bdi>
          </li>
        ))}
        {entries.length > LISTED ? <li>and {entries.length - LISTED} more</li> : null}
      </ul>
      <p>{directories ? 'Directories are deleted with everything in them. ' : ''}This cannot be undone.</p>
    </Confirm>
  )
}
