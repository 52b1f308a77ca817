import type { FunctionComponent } from 'preact'
import type { Notify } from './components/toast.tsx'
import type { Session } from './session.ts'
import type { Theme } from './theme.ts'

/** What each view gets. */
export interface ViewProps {
  readonly session: Session
  /** What follows the view's name in the address, such as `/home/user`; empty: nothing. */
  readonly path: string
  /** Goes to another such place of the same view, unless the user has gone to another view. */
  readonly navigate: (path: string) => void
  /** Shows a short message for some seconds. */
  readonly notify: Notify
  readonly theme: Theme
  /** Tells what would be lost if another view were shown, so that it is asked about; undefined: nothing. */
  readonly setUnsaved: (what: string | undefined) => void
}

/** One entry of the navigation. */
export interface View {
  /** In the address. */
  readonly name: string
  readonly title: string
  /** Loads its code, which is in a file of its own. */
  readonly load: () => Promise<{ readonly View: FunctionComponent<ViewProps> }>
}

/** All views, in the order of the navigation; the first one is shown where the address names none. */
export const VIEWS: readonly View[] = [
  { name: 'terminals', title: 'Terminals', load: () => import('./terminals/view.tsx') },
  { name: 'files', title: 'Files', load: () => import('./files/view.tsx') },
  { name: 'processes', title: 'Processes', load: () => import('./processes/view.tsx') },
  { name: 'metrics', title: 'Metrics', load: () => import('./metrics/view.tsx') },
  { name: 'service', title: 'Service', load: () => import('./service/view.tsx') },
  { name: 'log', title: 'Log', load: () => import('./log/view.tsx') },
]
