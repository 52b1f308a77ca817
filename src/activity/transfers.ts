/** Uploads and downloads. */
export interface Transfers {
  readonly upload: TransferCount
  readonly download: TransferCount
  /** As `TransferCount.begin`. */
  readonly begin: (direction: 'upload' | 'download') => () => void
}

/** Transfers of one direction. */
interface TransferCount {
  /** Counts one that begins; the function returned counts its end. Idempotent. */
  readonly begin: () => () => void
  /** Under way. */
  readonly open: number
  /** When one began or ended last, on the clock of performance.now(); undefined: never. */
  readonly last: number | undefined
}

/** Makes counts of none. */
export function createTransfers(): Transfers {
  const counts = { upload: createCount(), download: createCount() }
  return { ...counts, begin: (direction) => counts[direction].begin() }
}

function createCount(): TransferCount {
  let open = 0
  let last: number | undefined
  return {
    begin: () => {
      let over = false
      open++
      last = performance.now()
      return () => {
        if (over) return
        over = true
        open--
        last = performance.now()
      }
    },
    get open() {
      return open
    },
    get last() {
      return last
    },
  }
}
