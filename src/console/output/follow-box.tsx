interface FollowBoxProps {
  readonly follow: boolean
  readonly onFollow: (follow: boolean) => void
}

/** Whether the list scrolls to the newest line by itself (`LineList`). */
export function FollowBox({ follow, onFollow }: FollowBoxProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={follow} onChange={(event) => onFollow(event.currentTarget.checked)} />
      Follow
    </label>
  )
}
