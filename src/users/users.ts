import { createTimeSlice } from '../lib/time-slice.ts'
import { hasVersion, readVersion } from '../native/files.ts'
import { eachEntry, listsMember, readUserFile } from './user-file.ts'

/** One line of /etc/passwd. */
export interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/**
 * The users of the sandbox, from /etc/passwd and /etc/group (no NSS), as they are at the time of the call (contract
 * A41).
 */
export interface Users {
  /**
   * `find` at once, if the kernel's caches show that nothing has changed since the last one, or the last one was after
   * `since`, on the clock of performance.now(); undefined: it takes `find`.
   */
  known(name: string, since?: number): User | undefined
  /** The user of that name, or undefined. */
  find(name: string): Promise<User | undefined>
  /** Name of a uid; its decimal number where there is none. */
  nameOf(uid: number): Promise<string>
  /** Name of a gid; its decimal number where there is none. */
  groupNameOf(gid: number): Promise<string>
  /**
   * `nameOf` and `groupNameOf` at once, if both names are known and a tenth of a second old at most; undefined: it takes
   * them to know.
   */
  knownNames(uid: number, gid: number): { readonly owner: string; readonly group: string } | undefined
  /** Names by uid and by gid. */
  names(): Promise<{ readonly users: ReadonlyMap<number, string>; readonly groups: ReadonlyMap<number, string> }>
  /** The gid of a group of that name, or undefined. */
  findGroup(name: string): Promise<number | undefined>
  /**
   * Primary group first, then every group that lists the user (contract D7); a failed lookup leaves the primary group.
   */
  groupsOf(user: User): Promise<number[]>
}

interface Group {
  readonly name: string
  readonly gid: number
  /** Names with commas between them. */
  readonly members: string
}

interface PasswdTable {
  readonly byName: ReadonlyMap<string, User>
  readonly nameOf: ReadonlyMap<number, string>
}

interface GroupTable {
  readonly groups: readonly Group[]
  readonly nameOf: ReadonlyMap<number, string>
}

/** Where users come from. */
interface UsersOptions {
  readonly passwd?: string
  readonly group?: string
  /** Found under its name where the file does not have it: containers run programs as users that no file knows. */
  readonly own?: User
  /** Homes by user name, in the place of those in the file. */
  readonly homes?: ReadonlyMap<string, string>
}

/**
 * Reads users and groups from the two files. They are parsed once and looked at in every call, so that a user added a
 * moment ago is found, also when the file was replaced or another mounted over it, which inotify(7) does not report. A
 * missing file counts as empty; any other failure rejects with the system error.
 */
export function createUsers({ passwd = '/etc/passwd', group = '/etc/group', own, homes }: UsersOptions = {}): Users {
  const users = cachedFile(passwd, parsePasswd)
  const groups = cachedFile(group, parseGroups)
  const inTable = ({ byName }: PasswdTable, name: string): User | undefined => {
    const user = byName.get(name) ?? (name === own?.name ? own : undefined)
    const home = homes?.get(name)
    return user === undefined || home === undefined ? user : { ...user, home }
  }
  return {
    known: (name, since) => {
      const table = users.known(since)
      return table === undefined ? undefined : inTable(table, name)
    },
    find: async (name) => inTable(await users.read(), name),
    nameOf: (uid) => nameIn(users, uid),
    groupNameOf: (gid) => nameIn(groups, gid),
    knownNames: (uid, gid) => {
      const since = performance.now() - NAME_AGE_MS
      const owner = users.known(since)?.nameOf.get(uid)
      const group = owner === undefined ? undefined : groups.known(since)?.nameOf.get(gid)
      return owner === undefined || group === undefined ? undefined : { owner, group }
    },
    names: async () => ({ users: (await users.read()).nameOf, groups: (await groups.read()).nameOf }),
    findGroup: async (name) => (await groups.read()).groups.find((group) => group.name === name)?.gid,
    groupsOf: async (user) => {
      const table = await groups.read().catch(() => undefined)
      const gids = new Set([user.gid])
      const slice = createTimeSlice()
      for (const { gid, members } of table?.groups ?? []) {
        if (members === '') continue
        await slice.next()
        if (await listsMember(members, user.name, slice)) gids.add(gid)
      }
      return [...gids]
    },
  }
}

interface CachedFile<T> {
  /**
   * At once, if the file is known to be as it was, or was looked at after `since`, on the clock of performance.now();
   * undefined: it has to be read.
   */
  known(since?: number): T | undefined
  /** As it is now, or was when it was looked at after `since`. */
  read(since?: number): Promise<T>
}

/**
 * For names that only describe an owner. A trip to the thread pool costs more than all else that is done for a small
 * file, and a call has just made one for its user.
 */
const NAME_AGE_MS = 100

async function nameIn(file: CachedFile<{ readonly nameOf: ReadonlyMap<number, string> }>, id: number): Promise<string> {
  const since = performance.now() - NAME_AGE_MS
  const name = (file.known(since) ?? (await file.read(since))).nameOf.get(id)
  return name ?? (await file.read()).nameOf.get(id) ?? String(id)
}

/** Later than every look. */
const NOW = Number.POSITIVE_INFINITY

function cachedFile<T>(path: string, parse: (text: string) => Promise<T>): CachedFile<T> {
  const bytes = Buffer.from(path)
  let cached: { readonly version: Buffer; readonly value: Promise<T>; parsed: T | undefined } | undefined
  let checkedAt = Number.NEGATIVE_INFINITY
  const isFresh = (version: Buffer, since: number) => {
    if (checkedAt >= since) return true
    const now = performance.now()
    if (!hasVersion(bytes, version)) return false
    checkedAt = now
    return true
  }
  return {
    known: (since = NOW) => {
      const parsed = cached?.parsed
      return parsed !== undefined && cached !== undefined && isFresh(cached.version, since) ? parsed : undefined
    },
    read: async (since = NOW) => {
      if (cached !== undefined && isFresh(cached.version, since)) return cached.value
      const now = performance.now()
      const version = await versionOf(bytes)
      if (cached === undefined || !cached.version.equals(version)) {
        const value = version === MISSING ? parse('') : readUserFile(path).then(parse)
        const entry = { version, value, parsed: undefined as T | undefined }
        cached = entry
        value.then(
          (parsed) => {
            entry.parsed = parsed
          },
          () => {
            if (cached === entry) cached = undefined
          },
        )
      }
      checkedAt = now
      return cached.value
    },
  }
}

/** The version of a file that is not there. */
const MISSING = Buffer.alloc(0)

async function versionOf(path: Buffer): Promise<Buffer> {
  try {
    return await readVersion(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return MISSING
    throw error
  }
}

/**
 * passwd(5). Of several lines with one name or number the first counts, as in getpwnam(3). A home that is not absolute
 * would be another one for each program: it counts as none.
 */
async function parsePasswd(text: string): Promise<PasswdTable> {
  const byName = new Map<string, User>()
  const nameOf = new Map<number, string>()
  await eachEntry(text, ([name = '', , uidText, gidText, , home = '']) => {
    const uid = idOf(uidText)
    const gid = idOf(gidText)
    if (name === '' || uid === undefined || gid === undefined) return
    if (!byName.has(name)) byName.set(name, { name, uid, gid, home: home.startsWith('/') ? home : '/' })
    if (!nameOf.has(uid)) nameOf.set(uid, name)
  })
  return { byName, nameOf }
}

/** group(5). */
async function parseGroups(text: string): Promise<GroupTable> {
  const groups: Group[] = []
  const nameOf = new Map<number, string>()
  await eachEntry(text, ([name = '', , gidText, members = '']) => {
    const gid = idOf(gidText)
    if (name === '' || gid === undefined) return
    groups.push({ name, gid, members })
    if (!nameOf.has(gid)) nameOf.set(gid, name)
  })
  return { groups, nameOf }
}

/** The largest number stands for no user at all (setresuid(2)). */
function idOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32 - 1 ? Number(text) : undefined
}
