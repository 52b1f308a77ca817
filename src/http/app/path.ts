/** The path of a request target as it was sent, without the query. */
export function pathOf(url: string): string {
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

/** The path with its percent escapes decoded; as it was sent if they are malformed. */
export function decodedPathOf(url: string): string {
  const path = pathOf(url)
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
