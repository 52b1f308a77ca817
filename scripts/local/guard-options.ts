import type { ForeignPageGuard } from '../../src/http/access/foreign-pages.ts'
import type { AllowedNames } from '../../src/http/access/trusted-names.ts'

/**
 * The daemon's guard against web pages, for servers of the control plane: here is no microVM, and no token protects
 * anything.
 */
export function guardOptions({ origins, hosts }: AllowedNames): ForeignPageGuard {
  return {
    config: { notFirecracker: true, allowOrigins: origins, allowHosts: hosts },
    isProtected: () => false,
    log: { warn: (_, text) => console.error(text) },
  }
}
