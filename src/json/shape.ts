/** Which parts of a JSON text are wanted: everything else is passed over without being built. */
export interface Shape {
  /** What the member of that name is to be; undefined: not wanted. */
  member(name: string): Shape | undefined
  /** What the items of a list are to be; undefined: not wanted. */
  readonly item: Shape | undefined
  /** A string here is base64, and becomes bytes. */
  readonly bytes: boolean
  /** What one value here costs of `JsonLimits.values`. */
  readonly weight: number
  /** Called for a string here that was written with an escape. */
  readonly onEscape?: () => void
}

/** Everything, as JSON.parse builds it. A member costs more than an item: objects of many names are slow to build. */
export const EVERYTHING: Shape = {
  member: () => ENTRY,
  get item() {
    return EVERYTHING
  },
  bytes: false,
  weight: 1,
}

const ENTRY: Shape = { ...EVERYTHING, member: () => ENTRY, item: EVERYTHING, bytes: false, weight: 4 }

/** What a text may cost. Passing over what is not wanted is never refused for its size, only for its depth. */
export interface JsonLimits {
  /** Objects and lists within each other. */
  readonly depth: number
  /** Sum of the weights of the values that are built. */
  readonly values: number
  /** Characters of all strings that are built, bytes left out. */
  readonly text: number
}
