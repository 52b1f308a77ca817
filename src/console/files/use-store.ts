import { useEffect, useRef, useState } from 'preact/hooks'
import type { Connection } from '../connection.ts'
import type { FilesApi } from './api.ts'
import { afterChange, NOTHING, type Selection } from './selection.ts'
import { FilesStore } from './store.ts'

/** The tree of a user below a directory, followed as long as the view is shown; undefined at first. */
export function useStore(api: FilesApi, connection: Connection, root: string): FilesStore | undefined {
  const [store, setStore] = useState<FilesStore | undefined>(undefined)
  const [, setVersion] = useState(0)
  useEffect(() => {
    const made = new FilesStore(api, connection, root)
    const unsubscribe = made.subscribe(() => setVersion((last) => last + 1))
    setStore(made)
    return () => {
      unsubscribe()
      made.close()
    }
    // Another root is shown by the same store.
  }, [api, connection])
  useEffect(() => {
    if (store !== undefined && store.tree.root !== root) store.setRoot(root)
  }, [store, root])
  return store
}

/** What is selected, without what is gone. */
export function useSelection({ tree }: FilesStore): [Selection, (selection: Selection) => void] {
  const [selection, setSelection] = useState(NOTHING)
  const index = useRef(0)
  const rows = tree.rows()
  const current = afterChange(selection, rows, {
    isShown: (key) => tree.indexOf(key) !== -1,
    index: index.current,
  })
  index.current = current.focus === undefined ? 0 : tree.indexOf(current.focus)
  return [current, setSelection]
}
