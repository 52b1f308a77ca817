/**
 * What is asked for by many at once is made once: the function returns the same value until a turn of the event loop is
 * over, then one that is made anew. What `make` throws is not kept.
 */
export function oncePerTurn<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    if (made === undefined) {
      made = { value: make() }
      setImmediate(() => {
        made = undefined
      })
    }
    return made.value
  }
}
