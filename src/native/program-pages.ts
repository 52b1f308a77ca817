import { loadAddon } from './load.ts'

/**
 * Takes the pages of the running program's file, code and constants, out of this process (MADV_DONTNEED in madvise(2)).
 * What is used again comes back from the page cache by a fault each. Pages that the process may write, or that
 * relocations have changed, stay. Takes a millisecond. Throws with `code`, EINVAL where memory is locked (mlockall(2)).
 */
export const releaseProgramPages = loadAddon<{ releaseProgramPages(): void }>().releaseProgramPages
