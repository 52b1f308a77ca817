import { useLayoutEffect, useRef, useState } from 'preact/hooks'

/** Where in the page: `#/files/home/user` is the view `files` at `/home/user`. */
export interface Route {
  /** Empty: none is named. */
  readonly view: string
  /** What follows the view's name, decoded, with the slash that it begins with; may be empty. */
  readonly path: string
}

/** The route in the address, which the page shows a moment later. */
export function routeOfAddress(): Route {
  return readRoute(location.hash)
}

/** Reads a fragment. What is not one of a view has an empty one. */
function readRoute(hash: string): Route {
  const match = /^#\/([^/]*)(.*)$/.exec(hash)
  return { view: match?.[1] ?? '', path: (match?.[2] ?? '').split('/').map(decoded).join('/') }
}

/** The fragment of a route, as `href`. */
export function hrefOf({ view, path }: Route): string {
  return `#/${view}${path.split('/').map(encodeURIComponent).join('/')}`
}

/**
 * The route that is shown, a function that goes to another, and one that shows it at once.
 * @param accepts says of one in the address whether it is shown.
 */
export function useRoute(
  accepts: (next: Route) => boolean,
): [route: Route, go: (route: Route) => void, show: (route: Route) => void] {
  const [route, setRoute] = useState(routeOfAddress)
  const latest = useRef(accepts)
  latest.current = accepts
  // At once: what changes between the first render and an effect after it would never be shown.
  useLayoutEffect(() => {
    const listener = () => {
      const next = routeOfAddress()
      if (latest.current(next)) setRoute(next)
    }
    window.addEventListener('hashchange', listener)
    return () => window.removeEventListener('hashchange', listener)
  }, [])
  const go = (next: Route) => {
    location.hash = hrefOf(next)
  }
  return [route, go, setRoute]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
