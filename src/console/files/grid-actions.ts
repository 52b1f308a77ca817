import type { Notify } from '../components/toast.tsx'
import type { Asked } from './actions.tsx'
import type { FilesApi } from './api.ts'
import type { Entry } from './entry.ts'
import type { RowAction } from './grid-keys.ts'
import { isAddressable, nameOf, parentOf } from './paths.ts'
import type { FilesStore } from './store.ts'
import type { Shown } from './viewer.tsx'

/** What the actions are about. */
interface ActionContext {
  readonly api: FilesApi
  readonly notify: Notify
  readonly navigate: (path: string) => void
  readonly store: FilesStore
  readonly entries: readonly Entry[]
  readonly focused: Entry | undefined
  readonly setAsked: (asked: Asked) => void
  readonly openFile: (shown: Shown) => void
}

const NOT_UTF8 = 'This name is not UTF-8: it can only be used in a terminal.'

/** Downloads that begin at once: the browser asks about more of them. */
const MAX_DOWNLOADS = 10

/** What can be done with what is selected or has the focus. */
export function actionsOf({ api, store, entries, focused, notify, navigate, setAsked, openFile }: ActionContext) {
  const addressable = (all: readonly Entry[]) => {
    const fine = all.every(({ path }) => isAddressable(path))
    if (!fine) notify(NOT_UTF8, 'error')
    return fine
  }
  const openEntry = (entry: Entry, how: 'open' | 'enter') => {
    if (!addressable([entry])) return
    const { path, kind } = entry
    if (kind !== 'directory') return openFile({ path, kind })
    if (how === 'enter') return navigate(path)
    store[store.tree.isOpen(path) ? 'collapse' : 'expand'](path)
  }
  const rename = () => {
    if (focused !== undefined && addressable([focused])) setAsked({ kind: 'rename', entry: focused })
  }
  const remove = () => {
    if (entries.length > 0 && addressable(entries)) setAsked({ kind: 'remove', entries })
  }
  const run = (action: RowAction) => {
    if ('row' in action) {
      const { row, kind } = action
      return kind === 'expand' || kind === 'collapse' ? store[kind](row.entry.path) : openEntry(row.entry, kind)
    }
    if (action.kind === 'up') return navigate(parentOf(store.tree.root))
    return action.kind === 'rename' ? rename() : remove()
  }
  return {
    ...{ run, rename, remove },
    enter: () => {
      if (focused !== undefined) openEntry(focused, 'enter')
    },
    refresh: () => store.refresh(),
    download: () => {
      if (entries.length > MAX_DOWNLOADS) return notify(`At most ${MAX_DOWNLOADS} at a time: download their directory.`)
      for (const { path, kind } of entries) download(api, path, kind === 'directory')
    },
    copyPath: () => copyText(entries.map(({ path }) => path).join('\n'), notify),
  }
}

function copyText(text: string, notify: Notify): void {
  const copied = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error('no clipboard'))
  copied.then(
    () => notify('Copied.', 'success'),
    // A page that came by plain HTTP has no clipboard: it can be copied from here.
    () => notify(text),
  )
}

/** Lets the browser download a file, or a directory as an archive. */
export function download(api: FilesApi, path: string, directory: boolean): void {
  const link = document.createElement('a')
  link.href = directory ? api.linkTo(path, 'tar.gz') : api.linkTo(path)
  link.download = directory ? `${nameOf(path) === '/' ? 'root' : nameOf(path)}.tar.gz` : nameOf(path)
  link.click()
}
