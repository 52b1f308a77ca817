/** Which commands use the CPU. */
export interface CommandCpu {
  /**
   * Takes what a sample says of the machine. Only when that used CPU time while commands run, the times of their
   * sessions are read. Resolves when that is done; never rejects.
   */
  observe(cpuSeconds: number): Promise<void>
  /** When the session of that command was last seen busy, on the clock of performance.now(); undefined: never. */
  lastBusy(pid: number): number | undefined
  /** When any was. */
  readonly last: number | undefined
}

interface CommandCpuDeps {
  /** Sessions of the commands that run. */
  readonly sessions: () => ReadonlySet<number>
  readonly sessionTimes: (sessions: ReadonlySet<number>) => Promise<ReadonlyMap<number, number>>
  /** Seconds of CPU time that the daemon itself has used. */
  readonly ownSeconds: () => number
}

/** Of one CPU. A development server that looks at its files now and then uses less, anything that works uses more. */
const BUSY_SHARE = 0.05

/** Reading takes at most this share of the time: with thousands of processes it is done less often. */
const READING_SHARE = 0.02

/** Reads nothing before the first call. */
export function createCommandCpu({ sessions, sessionTimes, ownSeconds }: CommandCpuDeps): CommandCpu {
  const busy = new Map<number, number>()
  let before: { readonly at: number; readonly seconds: number } | undefined
  let read: { readonly at: number; readonly times: ReadonlyMap<number, number> } | undefined
  let pause = 0
  let reading = false
  let last: number | undefined

  const look = async (wanted: ReadonlySet<number>) => {
    const at = performance.now()
    const times = await sessionTimes(wanted)
    pause = at + (performance.now() - at) / READING_SHARE
    for (const pid of busy.keys()) if (!wanted.has(pid)) busy.delete(pid)
    for (const [pid, seconds] of read === undefined ? [] : times) {
      const used = seconds - (read?.times.get(pid) ?? 0)
      if (used < (BUSY_SHARE * (at - (read?.at ?? at))) / 1000) continue
      busy.set(pid, at)
      last = at
    }
    read = { at, times }
  }

  return {
    observe: async (cpuSeconds) => {
      const now = { at: performance.now(), seconds: cpuSeconds - ownSeconds() }
      const quiet = before !== undefined && now.seconds - before.seconds < (BUSY_SHARE * (now.at - before.at)) / 1000
      before = now
      const wanted = sessions()
      if (quiet || reading || wanted.size === 0 || now.at < pause) return
      reading = true
      await look(wanted).finally(() => {
        reading = false
      })
    },
    lastBusy: (pid) => busy.get(pid),
    get last() {
      return last
    },
  }
}
