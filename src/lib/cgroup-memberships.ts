/** The cgroup of a process in one hierarchy. */
interface Membership {
  /** Controllers of a hierarchy of version 1; none: the unified hierarchy (version 2). */
  readonly controllers: readonly string[]
  /** From the root of the cgroup namespace; above it with `/..`. */
  readonly path: string
}

/** The lines of a /proc/PID/cgroup (cgroups(7)). */
export function parseMemberships(text: string): Membership[] {
  return [...text.matchAll(/^\d+:([^:]*):(.*)$/gm)].map(([, controllers = '', path = '']) => ({
    controllers: controllers.split(',').filter((name) => name !== ''),
    path,
  }))
}

/** The path in the unified hierarchy; undefined where there is none. */
export function unifiedPath(memberships: readonly Membership[]): string | undefined {
  return memberships.find(({ controllers }) => controllers.length === 0)?.path
}
