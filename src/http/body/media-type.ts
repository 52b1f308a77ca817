/** A parsed Content-Type (RFC 9110 8.3). */
export interface MediaType {
  /** `type/subtype`, lower case. */
  readonly type: string
  readonly parameters: ReadonlyMap<string, string>
}

/** Parses a Content-Type; undefined where it has no `type/subtype`. Malformed parameters are left out. */
export function parseMediaType(header: string): MediaType | undefined {
  const type = /^\s*([!#$%&'*+.^_`|~\w-]+\/[!#$%&'*+.^_`|~\w-]+)\s*(?:;|$)/.exec(header)?.[1]
  if (type === undefined) return undefined
  const pattern = /;\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))/gs
  const parameters = new Map<string, string>()
  for (const [, name = '', quoted, token = ''] of header.matchAll(pattern)) {
    parameters.set(name.toLowerCase(), quoted === undefined ? token : quoted.replace(/\\(.)/gs, '$1'))
  }
  return { type: type.toLowerCase(), parameters }
}
