/** The value of a JSON text if it is what `accepts` takes; undefined if not, and for what is no JSON. */
export function parseJsonAs<T>(text: string, accepts: (value: unknown) => value is T): T | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return accepts(value) ? value : undefined
  } catch {
    return undefined
  }
}
