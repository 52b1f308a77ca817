import { useState } from 'preact/hooks'
import type { Credentials } from './session.ts'

/** What asks for the token. */
interface LoginProps {
  /** Why it is asked for. */
  readonly reason: string
  readonly onLogin: (credentials: Credentials) => void
}

/** Asks for the access token and, if wished, for another user than the default. */
export function Login({ reason, onLogin }: LoginProps) {
  const [token, setToken] = useState('')
  const [user, setUser] = useState('')
  const submit = (event: Event) => {
    event.preventDefault()
    onLogin({ token: token.trim(), user: user.trim() })
  }
  return (
    <main class="login">
      <form onSubmit={submit} autocomplete="off">
        <h1>envd console</h1>
        <p role="alert">{reason}</p>
        <label for="token">Access token</label>
        <input
          id="token"
          type="password"
          value={token}
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => setToken(event.currentTarget.value)}
          ref={(input) => input?.focus()}
        />
        <label for="user">User (optional)</label>
        <input
          id="user"
          type="text"
          value={user}
          autocomplete="off"
          spellcheck={false}
          placeholder="the default user"
          onInput={(event) => setUser(event.currentTarget.value)}
        />
        <button type="submit" class="primary">
          Sign in
        </button>
        <p class="hint">It is kept in the memory of this page only.</p>
      </form>
    </main>
  )
}
