/**
 * Takes the access token out of the address `…/console/#token=TOKEN`, at once and without an entry in the history. A
 * fragment is sent to no server and stands in no log.
 * @returns undefined where there is none.
 */
export function takeToken(location: Location, history: History): string | undefined {
  const match = /^#token=(.*)$/.exec(location.hash)
  if (match === null) return undefined
  history.replaceState(null, '', location.pathname + location.search)
  return decoded(match[1] ?? '')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
