/** One line of /etc/passwd. */
export interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/** The users of the sandbox, from /etc/passwd and /etc/group (no NSS), as they are at the time of the call (contract A41). */
export interface Users {
  /** The user of that name, or undefined. */
  find(name: string): Promise<User | undefined>
  /** Name of a uid; its decimal number where there is none. */
  nameOf(uid: number): Promise<string>
  /** Name of a gid; its decimal number where there is none. */
  groupNameOf(gid: number): Promise<string>
  /** Primary group first, then every group that lists the user (contract D7); a failed lookup leaves the primary group. */
  groupsOf(user: User): Promise<number[]>
}
