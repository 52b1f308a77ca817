import type { TestContext } from 'vitest'

/** Whether the test runs in the private namespace of `scripts/in-namespace`: as root, with users `user` and `other`. */
export const inNamespace = process.env['ENVD_TEST_NAMESPACE'] === '1'

/**
 * Skips the test, with the reason, unless it runs in the private namespace. For tests that need other users, mounts or
 * port 49983.
 */
export function needsNamespace(context: TestContext): void {
  if (!inNamespace) context.skip('needs the private namespace of scripts/in-namespace, which needs root')
}

/** Skips the test, with the reason, unless it runs as root. */
export function needsRoot(context: TestContext): void {
  if (process.getuid?.() !== 0) context.skip('needs root')
}

/** Skips the test, with the reason, unless /sys/fs/cgroup is a cgroup2 of the namespace's own. */
export function needsCgroups(context: TestContext): void {
  needsNamespace(context)
  const reason = process.env['ENVD_TEST_NO_CGROUP']
  if (reason !== undefined) context.skip(reason)
}
