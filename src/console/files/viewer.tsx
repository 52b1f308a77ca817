import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Notify } from '../components/toast.tsx'
import type { FilesApi } from './api.ts'
import { CodeView } from './code-view.tsx'
import { ConflictDialog } from './conflict.tsx'
import { imageType, type OpenedFile, type OpenedText, openFile } from './opened-file.ts'
import { nameOf, shownName } from './paths.ts'
import type { FilesStore } from './store.ts'
import { useChangeOnDisk } from './use-change-on-disk.ts'
import { useEditing } from './use-editing.ts'

/** A file to be shown. */
export interface Shown {
  readonly path: string
  readonly kind: 'file' | 'other'
  /** From 1 on; undefined: the beginning. */
  readonly line?: number
}

interface ViewerProps {
  readonly api: FilesApi
  readonly store: FilesStore
  readonly shown: Shown
  readonly notify: Notify
  readonly onDirty: (dirty: boolean) => void
  readonly onOpen: (path: string) => void
  readonly onDownload: (path: string) => void
  readonly onClose: () => void
}

/** A file: its text in an editor, or its image. */
export function Viewer(props: ViewerProps) {
  const { api, shown, onClose, onDownload } = props
  const { path } = shown
  const [asText, setAsText] = useState(false)
  const [version, setVersion] = useState(0)
  const opened = useOpened(api, shown, asText, version)
  const reload = () => setVersion((last) => last + 1)
  const shared = { ...props, onReload: reload }
  const image = imageType(nameOf(path)) === 'image/svg+xml'
  return (
    <section class="viewer" aria-label={`File ${shownName(nameOf(path))}`}>
      {opened.kind === 'text' ? (
        <TextPane key={path} opened={opened} {...shared} />
      ) : (
        <>
          <Head path={path} onClose={onClose} onDownload={onDownload} />
          <OtherPane opened={opened} path={path} onRetry={reload} />
        </>
      )}
      {image ? (
        <footer class="bar">
          <button type="button" onClick={() => setAsText(!asText)}>
            {asText ? 'Show the image' : 'Show the text'}
          </button>
        </footer>
      ) : null}
    </section>
  )
}

function useOpened(api: FilesApi, { path, kind }: Shown, asText: boolean, version: number): OpenedFile {
  const [opened, setOpened] = useState<OpenedFile & { readonly of?: string }>({ kind: 'loading' })
  useEffect(() => {
    const abort = new AbortController()
    openFile(api, { path, kind, name: nameOf(path) }, { signal: abort.signal, asText }).then(
      (next) => abort.signal.aborted || setOpened({ ...next, of: path }),
      // It was given up.
      () => undefined,
    )
    return () => abort.abort()
  }, [api, path, kind, asText, version])
  // What is shown until the next file is there is not the one before.
  return opened.of === path ? opened : { kind: 'loading' }
}

interface HeadProps {
  readonly path: string
  readonly state?: string
  readonly onClose: () => void
  readonly onDownload: (path: string) => void
  readonly children?: ComponentChildren
}

function Head({ path, state, onClose, onDownload, children }: HeadProps) {
  return (
    <header class="bar">
      <h2 title={shownName(path)}>
        <bdi>{shownName(nameOf(path))}</bdi>
      </h2>
      <span class="note state" role="status">
        {state}
      </span>
      <span class="space" />
      {children}
      <button type="button" onClick={() => onDownload(path)}>
        Download
      </button>
      <button type="button" class="icon" aria-label="Close the file" onClick={onClose}>
        ×
      </button>
    </header>
  )
}

interface TextPaneProps extends ViewerProps {
  readonly opened: OpenedText
  readonly onReload: () => void
}

function TextPane(props: TextPaneProps) {
  const { opened, shown, onClose, onDownload } = props
  const { path } = shown
  const editing = useEditing({ ...props, path })
  const changed = useChangeOnDisk({ ...props, ...editing, path })
  const state = opened.partial ?? (editing.saving ? 'Saving…' : editing.dirty ? 'Not saved' : '')
  return (
    <>
      <Head path={path} state={state} onClose={onClose} onDownload={onDownload}>
        <button
          type="button"
          class="primary"
          disabled={!editing.dirty || editing.saving || opened.partial !== undefined}
          onClick={() => void editing.save()}
        >
          Save
        </button>
      </Head>
      {changed === undefined ? null : (
        <p class="changed" role="alert">
          {changed}
        </p>
      )}
      <CodeView
        text={opened.text}
        name={nameOf(path)}
        label={`Text of ${shownName(nameOf(path))}`}
        readOnly={opened.partial !== undefined}
        line={shown.line}
        onChange={editing.onChange}
        onSave={() => void editing.save()}
        editor={editing.editor}
      />
      {editing.conflict === undefined ? null : (
        <ConflictDialog
          conflict={editing.conflict}
          name={nameOf(path)}
          onOverwrite={() => void editing.overwrite()}
          onReload={editing.reload}
          onKeepCopy={() => void editing.keepCopy()}
          onClose={editing.giveUpConflict}
        />
      )}
    </>
  )
}

interface OtherPaneProps {
  readonly opened: Exclude<OpenedFile, OpenedText>
  readonly path: string
  readonly onRetry: () => void
}

function OtherPane({ opened, path, onRetry }: OtherPaneProps) {
  if (opened.kind === 'loading') return <p class="empty">Loading…</p>
  if (opened.kind === 'image') return <ImagePane image={opened.image} name={shownName(nameOf(path))} />
  return (
    <div class="empty">
      <p role={opened.kind === 'failed' ? 'alert' : undefined}>
        {opened.kind === 'failed' ? opened.failure : opened.reason}
      </p>
      {opened.kind === 'failed' ? (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      ) : null}
    </div>
  )
}

function ImagePane({ image, name }: { readonly image: Blob; readonly name: string }) {
  const [url, setUrl] = useState('')
  const [size, setSize] = useState('')
  useEffect(() => {
    const made = URL.createObjectURL(image)
    setUrl(made)
    return () => URL.revokeObjectURL(made)
  }, [image])
  const onLoad = ({ currentTarget }: { readonly currentTarget: HTMLImageElement }) =>
    setSize(`${currentTarget.naturalWidth} × ${currentTarget.naturalHeight}`)
  return (
    <figure>
      {url === '' ? null : (
        <img src={url} alt={name} onLoad={onLoad} onError={() => setSize('No image that can be shown')} />
      )}
      <figcaption class="note">{size}</figcaption>
    </figure>
  )
}
