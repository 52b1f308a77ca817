/**
 * Bytes of a file that is edited, before and after: more than any source text; each is in memory while it is edited.
 */
export const MAX_EDITED_BYTES = 8 * 1024 * 1024
/** Files of one edit: three descriptors each are open until all are in their places. */
export const MAX_EDITED_FILES = 100
/** Replacements of one edit, over all its files: each reads its file once. */
export const MAX_REPLACEMENTS = 1_000
/** Occurrences that one replacement may change: their positions are in memory. */
export const MAX_OCCURRENCES = 100_000
/** Bytes of an edit's request: several files as large as an ordinary message. */
export const EDIT_REQUEST_BYTES = 16 * 1024 * 1024
/** Bytes of one file's part that is compared line by line. */
export const MAX_COMPARED_BYTES = 128 * 1024
/** Lines of such a part: source text of that size has some 4,000, and 130,000 empty ones take 0.1 s to compare. */
export const MAX_COMPARED_LINES = 10_000
/** Bytes of all diffs of one answer. */
export const MAX_DIFF_BYTES = 1024 * 1024
/** Edits that one user can take back. */
export const MAX_UNDO_EDITS = 100
/** Bytes that all edits of all users together keep to be taken back; never more than a quarter of the byte budget. */
export const MAX_UNDO_BYTES = 64 * 1024 * 1024
/** Lines and bytes of one answer of ReadLines. */
export const MAX_LINES = 10_000
export const MAX_LINES_BYTES = 1024 * 1024
/** Bytes of one line in such an answer. */
export const MAX_LINE_BYTES = 64 * 1024
/** Bytes of a file that are read to count its lines: a second or two of a disk. */
export const MAX_COUNTED_BYTES = 1024 * 1024 * 1024
/** Searches at a time: each uses all processors. */
export const MAX_SEARCHES = 8
/** Programs that search and were killed, but hang in a system call until a filesystem answers. */
export const MAX_STUCK_SEARCHES = 8
/** Address space of the program that searches: a file and its matches are in memory, in a sandbox of 512 MB. */
export const SEARCH_MEMORY_BYTES = 384 * 1024 * 1024
/** Bytes of a pattern. */
export const MAX_PATTERN_BYTES = 64 * 1024
/** Patterns of a search's scope, and bytes of all together: they are arguments of a program. */
export const MAX_GLOBS = 256
export const MAX_GLOBS_BYTES = 64 * 1024
/** Matching lines, and files, of one search. */
export const MAX_MATCHES = 200_000
export const MAX_FOUND = 100_000
/** Lines of context. */
export const MAX_CONTEXT = 100
/** Bytes of the names in one directory whose files are summed: some 400,000. */
export const MAX_TREE_NAMES_BYTES = 16 * 1024 * 1024
/** Trees that are copied, changed or measured at a time: each has a thread, and keeps a disk busy. */
export const MAX_TREE_TASKS = 8
/** Of those that were given up and hang in a system call: a thread each, until a mount answers again. */
export const MAX_STUCK_TREE_TASKS = 8
/** Memory of one: names, what waits to be sent, and buffers (`max_remembered_bytes` of native/tree-walk.cc). */
export const TREE_TASK_BYTES = 5 * 1024 * 1024
/** Names of metadata that one call removes: each is a system call for every entry. On ext4 a file has some 250. */
export const MAX_REMOVED_METADATA = 256
