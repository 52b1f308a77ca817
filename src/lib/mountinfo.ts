/** A mount of a proc_pid_mountinfo(5). */
export interface Mount {
  /** The directory of the file system that is mounted. */
  readonly root: string
  /** Where it is seen. */
  readonly point: string
  /** Of the file system: `cgroup2`, `ext4`, … */
  readonly type: string
  /** Of the file system, not of the mount; a cgroup of version 1 names its controllers here. */
  readonly options: readonly string[]
}

/** The mounts of a /proc/PID/mountinfo, in its order: a later one hides an earlier one at the same point. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ', 2)
    const [, , , root, point] = before.split(' ')
    const [type, , options] = after.split(' ')
    if (root === undefined || point === undefined || type === undefined || options === undefined) return []
    return [{ root: unescaped(root), point: unescaped(point), type, options: options.split(',') }]
  })
}

/** Octal escapes stand for the characters that separate. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
