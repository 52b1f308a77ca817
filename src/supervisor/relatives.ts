import type { ServiceGroup } from '../cgroups/service-group.ts'
import { familyOf, type Lineage, livingOf, type Relatives } from '../process/family.ts'

/**
 * The processes of one run of a service: those in its cgroup, where it has one, and those that `familyOf` finds, which
 * may have left the cgroup. The daemon itself is never among them.
 */
export function relativesOf(lineage: Lineage, group: ServiceGroup | undefined): Relatives {
  return {
    async list() {
      const members = (await group?.members()) ?? []
      const inGroup = await livingOf(members.filter((pid) => pid !== process.pid))
      return new Map([...inGroup, ...(await familyOf(lineage))])
    },
    kill: async () => group?.kill(),
  }
}
