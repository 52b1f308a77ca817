import { useEffect, useMemo, useState } from 'preact/hooks'
import type { ViewProps } from '../views.ts'
import { createFilesApi, type FilesApi } from './api.ts'
import { Browser } from './browser.tsx'
import { textOf } from './failure.ts'
import { parentOf } from './paths.ts'
import './style.css'

/** The files of the sandbox, as those of one of its users. */
export function View({ session, path, navigate, notify, setUnsaved }: ViewProps) {
  const [user, setUser] = useState(session.user)
  const acting = useMemo(() => session.as(user), [session, user])
  const api = useMemo(() => createFilesApi(acting), [acting])
  const place = usePlace(api, path, navigate)
  const users = [...new Set(['', 'root', session.user])]
  if (place === undefined) return <p class="empty">Loading…</p>
  if ('failure' in place)
    return (
      <div class="empty">
        <p role="alert">{place.failure}</p>
        <button type="button" onClick={() => navigate('/')}>
          Show /
        </button>
      </div>
    )
  return <Browser key={user} {...{ session, api, place, user, users, setUser, navigate, notify, setUnsaved }} />
}

/** The directory that is shown, and a file of it that the address names. */
export interface Place {
  readonly root: string
  readonly file: string | undefined
}

/** Where the address leads; nowhere in particular is the user's home. */
function usePlace(
  api: FilesApi,
  path: string,
  navigate: (path: string) => void,
): Place | { readonly failure: string } | undefined {
  const [place, setPlace] = useState<Place | { readonly failure: string } | undefined>(undefined)
  useEffect(() => {
    const abort = new AbortController()
    const take = async () => {
      const entry = await api.stat(path === '' ? '.' : path, abort.signal)
      if (path === '') return navigate(entry?.kind === 'directory' ? entry.path : '/')
      if (entry === undefined) return setPlace({ failure: `Not found: ${path}` })
      if (entry.kind === 'directory') setPlace({ root: path, file: undefined })
      else setPlace({ root: parentOf(path), file: path })
    }
    take().catch((error: unknown) => abort.signal.aborted || setPlace({ failure: textOf(error) }))
    return () => abort.abort()
  }, [api, path])
  return place
}
