/** Where a value stands in a list. */
export interface Place<T> {
  readonly value: T
}

interface Link<T> extends Place<T> {
  before: Link<T> | undefined
  after: Link<T> | undefined
  listed: boolean
}

/**
 * Values in the order in which they came. Everything takes the same time however many there are: a Set from which the
 * first is deleted again and again looks through all that were deleted before, and an array is moved.
 */
export class LinkedList<T> {
  #first: Link<T> | undefined
  #last: Link<T> | undefined
  #size = 0

  get first(): T | undefined {
    return this.#first?.value
  }

  get last(): T | undefined {
    return this.#last?.value
  }

  get size(): number {
    return this.#size
  }

  /** Adds a value at the end, and returns what `delete` takes. */
  push(value: T): Place<T> {
    const link: Link<T> = { value, before: this.#last, after: undefined, listed: true }
    if (this.#last === undefined) this.#first = link
    else this.#last.after = link
    this.#last = link
    this.#size++
    return link
  }

  /** Takes a value out, wherever it is. False: it was taken out before. `place` must be one of this list. */
  delete(place: Place<T>): boolean {
    // `push` makes no others.
    const link = place as Link<T>
    if (!link.listed) return false
    link.listed = false
    if (link.before === undefined) this.#first = link.after
    else link.before.after = link.after
    if (link.after === undefined) this.#last = link.before
    else link.after.before = link.before
    // What is collected late must not hold what came after it.
    link.before = undefined
    link.after = undefined
    this.#size--
    return true
  }

  /** Takes the first one out. */
  shift(): T | undefined {
    const first = this.#first
    if (first === undefined) return undefined
    this.delete(first)
    return first.value
  }
}
