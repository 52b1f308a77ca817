import { useEffect, useLayoutEffect, useState } from 'preact/hooks'

/** What is shown; the style sheet has both. */
export type Theme = 'light' | 'dark'

const DARK = '(prefers-color-scheme: dark)'

/** The theme, at first as the system has it, and a function that changes to the other one. */
export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>(() => (matchMedia(DARK).matches ? 'dark' : 'light'))
  // At once, as the system may change between the first render and an effect after it.
  useLayoutEffect(() => {
    const query = matchMedia(DARK)
    const listener = () => setTheme(query.matches ? 'dark' : 'light')
    query.addEventListener('change', listener)
    return () => query.removeEventListener('change', listener)
  }, [])
  useEffect(() => {
    document.documentElement.dataset['theme'] = theme
  }, [theme])
  return [theme, () => setTheme(theme === 'dark' ? 'light' : 'dark')]
}
