import type { ViewProps } from '../views.ts'

/** Nothing yet. */
export function View(_props: ViewProps) {
  return <p class="empty">Nothing here yet.</p>
}
