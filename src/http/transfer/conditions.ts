/** The condition headers of a request, as Node gives them. */
type ConditionHeaders = Readonly<Record<string, string | string[] | undefined>>

/** What the conditions make of a request: go on, 304, or 412. */
type Condition = 'proceed' | 'not_modified' | 'failed'

/**
 * Judges the conditions of a GET for a file without an entity tag (contract B20; RFC 9110 13.2.2).
 * @param modified seconds since 1970.
 */
export function judgeConditions(headers: ConditionHeaders, modified: number): Condition {
  const match = text(headers['if-match'])
  const since = secondsOf(text(headers['if-unmodified-since']))
  if (match !== '') {
    if (match !== '*') return 'failed'
  } else if (since !== undefined && modified > since) return 'failed'
  const noneMatch = text(headers['if-none-match'])
  if (noneMatch !== '') return noneMatch === '*' ? 'not_modified' : 'proceed'
  const modifiedSince = secondsOf(text(headers['if-modified-since']))
  return modifiedSince !== undefined && modified <= modifiedSince ? 'not_modified' : 'proceed'
}

/** Whether the Range header counts: there is no If-Range, or it names exactly the time of the last change. */
export function rangeHolds(headers: ConditionHeaders, modified: number): boolean {
  const ifRange = text(headers['if-range'])
  return ifRange === '' || secondsOf(ifRange) === modified
}

function text(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? (value[0] ?? '') : (value ?? '')).trim()
}

/** An HTTP date (RFC 9110 5.6.7) in seconds; undefined for anything else. */
function secondsOf(date: string): number | undefined {
  if (!/^[A-Z][a-z]{2,8},? .*\d/.test(date)) return undefined
  const milliseconds = Date.parse(date)
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000)
}
