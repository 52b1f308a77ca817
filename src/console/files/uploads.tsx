import { formatBytes } from './format.ts'
import { nameOf, shownName } from './paths.ts'
import type { Upload, UploadTotals } from './upload-queue.ts'

interface UploadsProps {
  readonly uploads: readonly Upload[]
  readonly totals: UploadTotals
  readonly onCancel: (id: number) => void
  readonly onPause: (id: number) => void
  readonly onCancelAll: () => void
  readonly onRetry: (id: number) => void
  readonly onReplace: (id: number) => void
  readonly onReplaceAll: () => void
  readonly onClear: () => void
}

/** Of many uploads these many are listed: first what is being sent, then what needs the user, then what waits. */
const LISTED = 50

const RANK: Readonly<Record<Upload['state'], number>> = {
  ...{ sending: 0, paused: 0, exists: 1, failed: 2, waiting: 3 },
  ...{ cancelled: 4, done: 5 },
}

/** The uploads: one bar for all, and one for each. */
export function Uploads(props: UploadsProps) {
  const { uploads, totals } = props
  const listed = [...uploads].sort((a, b) => RANK[a.state] - RANK[b.state] || a.id - b.id).slice(0, LISTED)
  const problems = totals.failed + totals.exists
  return (
    <section class="uploads" aria-label="Uploads">
      <header>
        <span role="status">{summaryOf(totals)}</span>
        <progress aria-label="All uploads" max={Math.max(1, totals.bytes)} value={fractionOf(totals)} />
        {totals.exists > 1 ? (
          <button type="button" onClick={props.onReplaceAll}>
            Replace all {totals.exists}
          </button>
        ) : null}
        {totals.open > 0 ? (
          <button type="button" onClick={props.onCancelAll}>
            Cancel all
          </button>
        ) : (
          <button type="button" onClick={props.onClear}>
            {problems > 0 ? 'Discard' : 'Close'}
          </button>
        )}
      </header>
      <ul>
        {listed.map((upload) => (
          <UploadItem key={upload.id} upload={upload} {...props} />
        ))}
        {uploads.length > LISTED ? <li class="more">and {uploads.length - LISTED} more</li> : null}
      </ul>
    </section>
  )
}

/** Of empty files the bar is full as well. */
function fractionOf({ bytes, sent, open }: UploadTotals): number {
  return bytes === 0 && open === 0 ? 1 : sent
}

function summaryOf({ files, done, failed, exists, open, bytes, sent }: UploadTotals): string {
  const parts = [`${done} of ${files} files`, `${formatBytes(sent)} of ${formatBytes(bytes)}`]
  if (exists > 0) parts.push(`${exists} exist already`)
  if (failed > 0) parts.push(`${failed} failed`)
  if (open === 0 && failed + exists === 0)
    return `Uploaded ${done === 1 ? '1 file' : `${done} files`} (${formatBytes(bytes)})`
  return parts.join(', ')
}

function UploadItem({ upload, ...props }: UploadsProps & { readonly upload: Upload }) {
  const { id, path, state, size, sent } = upload
  const name = shownName(nameOf(path))
  const running = state === 'sending' || state === 'waiting' || state === 'paused'
  return (
    <li data-state={state}>
      <bdi title={shownName(path)}>{name}</bdi>
      {running ? <progress aria-label={`Upload of ${name}`} max={Math.max(1, size)} value={sent} /> : null}
      <span class="note">{noteOf(upload)}</span>
      {state === 'sending' ? (
        <button type="button" aria-label={`Pause ${name}`} onClick={() => props.onPause(id)}>
          Pause
        </button>
      ) : null}
      {state === 'paused' ? (
        <button type="button" aria-label={`Go on with ${name}`} onClick={() => props.onRetry(id)}>
          Go on
        </button>
      ) : null}
      {running ? (
        <button type="button" aria-label={`Cancel ${name}`} onClick={() => props.onCancel(id)}>
          Cancel
        </button>
      ) : null}
      {state === 'exists' ? (
        <button type="button" aria-label={`Replace ${name}`} onClick={() => props.onReplace(id)}>
          Replace
        </button>
      ) : null}
      {state === 'failed' || state === 'cancelled' ? (
        <button type="button" aria-label={`Try ${name} again`} onClick={() => props.onRetry(id)}>
          Try again
        </button>
      ) : null}
    </li>
  )
}

function noteOf({ state, stalled, failure, size, sent }: Upload): string {
  if (state === 'failed') return failure ?? 'Failed'
  if (state === 'exists') return 'A file of this name is there'
  if (state === 'cancelled') return 'Cancelled'
  if (state === 'done') return formatBytes(size)
  if (state === 'paused') return `Paused at ${formatBytes(sent)}`
  if (stalled) return 'Waiting for the sandbox to answer'
  return state === 'sending' ? `${formatBytes(sent)} of ${formatBytes(size)}` : 'Waiting'
}
