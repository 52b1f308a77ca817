import type { MessageInitShape } from '@bufbuild/protobuf'
import type {
  CopyResponseSchema,
  DiskUsageResponseSchema,
  SetAttributesResponseSchema,
} from '../gen/files/v1/files_pb.js'
import type { TreeState } from '../native/tree-task.ts'
import type { UsageItem } from './disk-usage.ts'
import { toPath } from './search-convert.ts'
import type { TreeProgress } from './service.ts'

/** The wire's form of how far a copy is. */
export function toCopyResponse({ done, state }: TreeProgress): MessageInitShape<typeof CopyResponseSchema> {
  const { files, directories, links, bytes, shared } = state
  const counts = { files, directories, links, bytes }
  if (!done) return { event: { case: 'progress', value: counts } }
  return { event: { case: 'summary', value: { ...counts, sharedBytes: shared, ...toLeftOut(state) } } }
}

/** The wire's form of how far a change of attributes is. */
export function toSetAttributesResponse({
  done,
  state,
}: TreeProgress): MessageInitShape<typeof SetAttributesResponseSchema> {
  const entries = state.files + state.directories + state.links
  if (!done) return { event: { case: 'progress', value: { entries } } }
  return { event: { case: 'summary', value: { entries, ...toLeftOut(state) } } }
}

/** The wire's form of what a disk usage has found. */
export function toDiskUsageResponse(item: UsageItem): MessageInitShape<typeof DiskUsageResponseSchema> {
  switch (item.kind) {
    case 'usage': {
      const { path, bytes, length, entries } = item.usage
      return { event: { case: 'usage', value: { ...toPath(path), bytes, length, entries } } }
    }
    case 'progress': {
      const { files, directories, bytes } = item.state
      return { event: { case: 'progress', value: { entries: files + directories, bytes } } }
    }
    case 'summary': {
      const { bytes, length, entries } = item.whole
      const value = { bytes, length, entries, ...toLeftOut(item.state), countedAgain: item.state.shared }
      return { event: { case: 'summary', value } }
    }
  }
}

function toLeftOut({ leftOut, leftOutPaths }: TreeState) {
  return { leftOut, leftOutPaths: leftOutPaths.map((path) => path.toString()) }
}
