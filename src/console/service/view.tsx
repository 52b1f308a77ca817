import type { ViewProps } from '../views.ts'
import { Activity } from './activity.tsx'
import { PortList } from './ports.tsx'
import { Services } from './services.tsx'
import '../status.css'
import './style.css'

/** What runs in the sandbox by itself, where it can be reached, and whether it is in use. */
export function View({ session, notify }: ViewProps) {
  return (
    <div class="service-view">
      <Services session={session} notify={notify} />
      <PortList session={session} notify={notify} />
      <Activity session={session} />
    </div>
  )
}
