import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { Toasts, useToasts } from './components/toast.tsx'
import type { ConnectionState } from './connection.ts'
import { Lazy } from './lazy.tsx'
import { Login } from './login.tsx'
import { hrefOf, type Route, routeOfAddress } from './router.ts'
import { type Credentials, createSession, daemonUrl, type Session } from './session.ts'
import { type Theme, useTheme } from './theme.ts'
import { useSafeRoute } from './unsaved.tsx'
import { VIEWS, type View } from './views.ts'

/** Whether a user is signed in: not yet, refused, or the session. */
type Access =
  | { readonly kind: 'asked' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'open'; readonly session: Session }

/** The page. @param token from the address. */
export function App({ token }: { readonly token: string | undefined }) {
  const [theme, switchTheme] = useTheme()
  const [access, setAccess] = useState<Access>({ kind: 'asked' })
  const signIn = useCallback(async (credentials: Credentials) => {
    const refused = (reason: string) => {
      session.close()
      setAccess({ kind: 'refused', reason })
    }
    const session = createSession(daemonUrl(document.baseURI), credentials, refused)
    setAccess({ kind: 'asked' })
    // The cheapest call that needs the token. A daemon that cannot be reached is what the banner is for.
    const answer = await session.fetch('/metrics').catch(() => undefined)
    void answer?.body?.cancel().catch(() => {})
    if (answer?.status !== 401) setAccess({ kind: 'open', session })
  }, [])
  useEffect(() => void signIn({ token: token ?? '', user: '' }), [signIn, token])
  if (access.kind === 'asked') return <p class="empty">Connecting…</p>
  if (access.kind === 'refused') return <Login reason={access.reason} onLogin={(given) => void signIn(given)} />
  return <Frame session={access.session} theme={theme} switchTheme={switchTheme} />
}

interface FrameProps {
  readonly session: Session
  readonly theme: Theme
  readonly switchTheme: () => void
}

/** Navigation, banner and the view of the address. */
function Frame({ session, theme, switchTheme }: FrameProps) {
  const { route, go, question, setUnsaved } = useSafeRoute((next) => viewOf(next)?.name ?? '')
  const [toasts, notify] = useToasts()
  const view = viewOf(route)
  if (view === undefined) return null
  const navigate = (path: string) => {
    // A view that waited for an answer may have been left meanwhile.
    if (viewOf(routeOfAddress()) === view) go({ view: view.name, path })
  }
  return (
    <div class="frame">
      <header class="top">
        <h1 class="brand">envd</h1>
        <Navigation current={view.name} />
        <span class="user">{session.user}</span>
        <button type="button" class="icon" aria-label={`Use ${other(theme)} colours`} onClick={switchTheme}>
          {theme === 'dark' ? '☀' : '☾'}
        </button>
      </header>
      <Banner session={session} />
      <main class="view" aria-label={view.title}>
        <Lazy key={view.name} view={view} props={{ session, path: route.path, navigate, notify, theme, setUnsaved }} />
      </main>
      {question}
      <Toasts toasts={toasts} />
    </div>
  )
}

function viewOf(route: Route): View | undefined {
  return VIEWS.find(({ name }) => name === route.view) ?? VIEWS[0]
}

function Navigation({ current }: { readonly current: string }) {
  const links = useRef<HTMLElement>(null)
  // On a phone not all of them are in sight.
  useEffect(() => {
    links.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' })
  }, [current])
  return (
    <nav aria-label="Views" ref={links}>
      {VIEWS.map(({ name, title }) => (
        <a key={name} href={hrefOf({ view: name, path: '' })} aria-current={name === current ? 'page' : undefined}>
          {title}
        </a>
      ))}
    </nav>
  )
}

const RETURNED_MS = 3_000

/** Says that the daemon cannot be reached, and for a moment that it is back. */
function Banner({ session }: { readonly session: Session }) {
  const [shown, setShown] = useState<ConnectionState | undefined>(undefined)
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const show = (state: ConnectionState) => {
      clearTimeout(timer)
      setShown(state)
      if (state === 'connected') timer = setTimeout(() => setShown(undefined), RETURNED_MS)
    }
    if (session.connection.state === 'lost') show('lost')
    const unsubscribe = session.connection.subscribe(show)
    return () => {
      unsubscribe()
      clearTimeout(timer)
    }
  }, [session])
  return (
    <div class="banner" role="status" aria-live="polite" data-state={shown}>
      {shown === 'lost' ? 'The connection to the sandbox is lost. Trying again…' : null}
      {shown === 'connected' ? 'The connection is back.' : null}
    </div>
  )
}

function other(theme: Theme): Theme {
  return theme === 'dark' ? 'light' : 'dark'
}
