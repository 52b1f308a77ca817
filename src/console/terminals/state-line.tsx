import type { AttachmentState } from './attachment.ts'

interface StateLineProps {
  readonly state: AttachmentState
  readonly onTakeOver: () => void
  readonly onForget: () => void
}

/** Says what keeps a terminal from being used, and what can be done about it; nothing while it can be. */
export function StateLine({ state, onTakeOver, onForget }: StateLineProps) {
  const ended = state.kind === 'ended' || state.kind === 'failed'
  return (
    <div class="state" role="status" data-state={state.kind}>
      <span>{textOf(state)}</span>
      {state.kind === 'watching' ? (
        <button type="button" onClick={onTakeOver}>
          Take over
        </button>
      ) : null}
      {ended ? (
        <button type="button" onClick={onForget}>
          Close tab
        </button>
      ) : null}
    </div>
  )
}

function textOf(state: AttachmentState): string {
  switch (state.kind) {
    case 'connecting':
      return 'Connecting…'
    case 'attached':
      return ''
    case 'watching':
      return 'Another device has taken over: what you type is not taken.'
    case 'lost':
      return 'Not connected. The terminal goes on, and comes back by itself.'
    case 'ended':
      return `Ended: ${state.how}.`
    case 'failed':
      return state.reason
  }
}
