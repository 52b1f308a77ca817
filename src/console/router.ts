import { useEffect, useState } from 'preact/hooks'

/** Where in the page: `#/files/home/user` is the view `files` at `/home/user`. */
interface Route {
  /** Empty: none is named. */
  readonly view: string
  /** What follows the view's name, decoded, with the slash that it begins with; may be empty. */
  readonly path: string
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

/** The route of the address, and a function that goes to another. */
export function useRoute(): [Route, (route: Route) => void] {
  const [route, setRoute] = useState(() => readRoute(location.hash))
  useEffect(() => {
    const listener = () => setRoute(readRoute(location.hash))
    window.addEventListener('hashchange', listener)
    return () => window.removeEventListener('hashchange', listener)
  }, [])
  const go = (next: Route) => {
    location.hash = hrefOf(next)
  }
  return [route, go]
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
