import { parseJsonAs } from './lib/parse-json.ts'
import type { KeptStates } from './supervisor/kept-state.ts'

type Content = Readonly<Record<string, string>>

/**
 * What becomes of services, as a part of the state of the sandbox.
 * @param state of the daemon before this one; undefined: there was none.
 * @param keep is called when there is something else to be kept.
 */
export function createKeptServices(state: string | undefined, keep: () => void) {
  const before = state === undefined ? undefined : parseJsonAs(state, hasServices)
  const services = new Map(Object.entries(before?.services ?? {}))
  const states: KeptStates = {
    read: (service) => services.get(service),
    write: (service, text) => {
      if (services.get(service) === text) return
      if (text === undefined) services.delete(service)
      else services.set(service, text)
      keep()
    },
  }
  return { states, content: (): Content => Object.fromEntries(services) }
}

/** Daemons that know no services leave none. */
function hasServices(value: unknown): value is { readonly services: Content } {
  if (typeof value !== 'object' || value === null || !('services' in value)) return false
  const { services } = value
  if (typeof services !== 'object' || services === null) return false
  return Object.values(services).every((text) => typeof text === 'string')
}
