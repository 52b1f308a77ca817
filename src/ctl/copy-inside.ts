import type { CopyOptions } from './cp.ts'
import { Failure } from './failure.ts'
import { showProgress } from './progress.ts'
import type { Sandbox } from './sandbox.ts'
import { untilAborted } from './until-aborted.ts'

/** Copies in the sandbox; what was left out. Throws Failure. */
export async function copyInside(
  sandbox: Sandbox,
  source: string,
  destination: string,
  { recursive, replace, exclude, signal }: CopyOptions,
): Promise<readonly string[]> {
  if (exclude.length > 0) throw new Failure('usage', 'in the sandbox nothing can be excluded')
  const shown = showProgress(source)
  const copying = sandbox.stream<{
    readonly progress?: { readonly files?: string; readonly bytes?: string }
    readonly summary?: { readonly leftOutPaths?: readonly string[] }
  }>('files.v1.Files/Copy', { source, destination, recursive, replace })
  try {
    for await (const { progress, summary } of untilAborted(copying, signal)) {
      if (summary !== undefined) return summary.leftOutPaths ?? []
      shown.moved.files = Number(progress?.files ?? 0)
      shown.moved.bytes = Number(progress?.bytes ?? 0)
    }
    signal.throwIfAborted()
    throw new Failure('lost', 'the copy has no end')
  } finally {
    shown.end()
  }
}
