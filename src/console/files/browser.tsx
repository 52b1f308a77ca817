import { useState } from 'preact/hooks'
import type { Notify } from '../components/toast.tsx'
import type { Session } from '../session.ts'
import type { ViewProps } from '../views.ts'
import { Actions, type Asked } from './actions.tsx'
import type { FilesApi } from './api.ts'
import type { Chosen } from './dropped.ts'
import type { Entry } from './entry.ts'
import { Grid } from './grid.tsx'
import { actionsOf, download } from './grid-actions.ts'
import type { RowAction } from './grid-keys.ts'
import { isAddressable, parentOf, shownName } from './paths.ts'
import { Search } from './search.tsx'
import { selectOnly } from './selection.ts'
import type { FilesStore } from './store.ts'
import { Toolbar, type ToolbarActions } from './toolbar.tsx'
import { Uploads } from './uploads.tsx'
import { useDrop } from './use-drop.ts'
import { useSelection, useStore } from './use-store.ts'
import { useUploads } from './use-uploads.ts'
import { useViewer } from './use-viewer.tsx'
import type { Place } from './view.tsx'
import { Viewer } from './viewer.tsx'

interface BrowserProps {
  readonly session: Session
  readonly api: FilesApi
  readonly place: Place
  readonly user: string
  readonly users: readonly string[]
  readonly setUser: (user: string) => void
  readonly navigate: (path: string) => void
  readonly notify: Notify
  readonly setUnsaved: ViewProps['setUnsaved']
}

/** The tree of one user, with the file that is open beside it. */
export function Browser(props: BrowserProps) {
  const store = useStore(props.api, props.session.connection, props.place.root)
  return store === undefined ? <p class="empty">Loading…</p> : <Files {...props} store={store} />
}

function Files(props: BrowserProps & { readonly store: FilesStore }) {
  const { session, api, store, place, notify, navigate } = props
  const { tree } = store
  const [selection, setSelection] = useSelection(store)
  const [asked, setAsked] = useState<Asked | undefined>(undefined)
  const [searching, setSearching] = useState(false)
  const viewer = useViewer(place, props.setUnsaved)
  const uploads = useUploads(session, api, notify)
  const drop = useDrop(tree.root, (directory, dropped) => void uploads.drop(directory, dropped))
  const entryOf = (key: string) => tree.rows()[tree.indexOf(key)]?.entry
  const entries = [...selection.selected].flatMap((key) => entryOf(key) ?? [])
  const focused = selection.focus === undefined ? undefined : entryOf(selection.focus)
  const directory = directoryOf(focused, store)
  const actions = {
    ...actionsOf({ ...props, entries, focused, setAsked, openFile: viewer.open }),
    goTo: navigate,
    upload: (files: readonly Chosen[]) => uploads.add(directory, files),
    newFile: () => setAsked({ kind: 'file', directory }),
    newDirectory: () => setAsked({ kind: 'directory', directory }),
    search: () => setSearching(true),
  }
  const onDone = (path?: string) => {
    setAsked(undefined)
    if (path !== undefined) setSelection(selectOnly(path))
  }
  return (
    <div class={viewer.shown === undefined ? 'files' : 'files with-viewer'} {...drop.handlers}>
      <ToolbarOf {...props} {...{ entries, actions }} setUser={(user) => viewer.leave(() => props.setUser(user))} />
      {searching ? <SearchOf {...{ api, store, viewer }} onClose={() => setSearching(false)} /> : null}
      <div class="panes">
        <Listing {...{ store, selection, setSelection }} onAction={actions.run} target={drop.target} />
        <ViewerOf {...{ api, store, notify, viewer }} />
      </div>
      <UploadsOf {...uploads} />
      {asked === undefined ? null : <Actions {...{ api, asked, notify, onDone }} />}
      {viewer.question}
    </div>
  )
}

interface ToolbarOfProps extends BrowserProps {
  readonly entries: readonly Entry[]
  readonly actions: ToolbarActions
}

function ToolbarOf({ place, entries, user, users, setUser, actions }: ToolbarOfProps) {
  const addressable = entries.every(({ path }) => isAddressable(path))
  return (
    <Toolbar {...{ root: place.root, count: entries.length, addressable, user, users, actions }} onUser={setUser} />
  )
}

interface PaneProps {
  readonly api: FilesApi
  readonly store: FilesStore
  readonly viewer: ReturnType<typeof useViewer>
}

function SearchOf({ api, store, viewer, onClose }: PaneProps & { readonly onClose: () => void }) {
  const open = (path: string, line: number | undefined) => {
    if (isAddressable(path)) viewer.open({ path, kind: 'file', ...(line === undefined ? {} : { line }) })
  }
  return <Search {...{ api, root: store.tree.root, onClose }} onOpen={open} />
}

function ViewerOf({ api, store, notify, viewer }: PaneProps & { readonly notify: Notify }) {
  const { shown, setDirty, close } = viewer
  if (shown === undefined) return null
  return (
    <Viewer
      key={`${shown.path}:${shown.line ?? ''}`}
      {...{ api, store, notify, shown, onDirty: setDirty, onClose: close }}
      onOpen={(path) => viewer.open({ path, kind: 'file' }, true)}
      onDownload={(path) => download(api, path, false)}
    />
  )
}

interface ListingProps {
  readonly store: FilesStore
  readonly selection: ReturnType<typeof useSelection>[0]
  readonly setSelection: ReturnType<typeof useSelection>[1]
  readonly onAction: (action: RowAction) => void
  readonly target: string | undefined
}

/** The grid, or why there is none. */
function Listing({ store, selection, setSelection, onAction, target }: ListingProps) {
  const { tree } = store
  const { state, failure } = tree.rootState
  const rows = tree.rows()
  return (
    <div class={target === tree.root ? 'listing target' : 'listing'}>
      <Grid
        label={`Files of ${shownName(tree.root)}`}
        {...{ rows, selection, onAction, order: tree.order, dropTarget: target, onSelect: setSelection }}
        indexOf={(key) => tree.indexOf(key)}
        onSort={(order) => store.sort(order)}
      />
      {state === 'failed' ? (
        <div class="empty">
          <p role="alert">{failure}</p>
          <button type="button" onClick={() => store.refresh()}>
            Try again
          </button>
        </div>
      ) : null}
      {state === 'loading' && rows.length === 0 ? <p class="empty">Loading…</p> : null}
      {state === 'open' && rows.length === 0 ? <p class="empty">This directory is empty. Drop files here.</p> : null}
    </div>
  )
}

function UploadsOf({ queue }: ReturnType<typeof useUploads>) {
  const uploads = queue.uploads()
  if (uploads.length === 0) return null
  return (
    <Uploads
      {...{ uploads, totals: queue.totals() }}
      onCancel={(id) => queue.cancel(id)}
      onPause={(id) => queue.pause(id)}
      onCancelAll={() => queue.cancelAll()}
      onRetry={(id) => queue.retry(id)}
      onReplace={(id) => queue.retry(id, { replace: true })}
      onReplaceAll={() => queue.replaceAll()}
      onClear={() => queue.clear()}
    />
  )
}

/** Where new files go: the directory that has the focus, if it is open, or the one around it. */
function directoryOf(focused: Entry | undefined, { tree }: FilesStore): string {
  if (focused === undefined) return tree.root
  return focused.kind === 'directory' && tree.isOpen(focused.path) ? focused.path : parentOf(focused.path)
}
