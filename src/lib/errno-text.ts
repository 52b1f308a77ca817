import { getSystemErrorMap } from 'node:util'

/** Texts that clients match and that differ from libuv's. */
const kernelText: Record<string, string> = {
  EACCES: 'permission denied',
  EBUSY: 'device or resource busy',
  EDQUOT: 'disk quota exceeded',
  EEXIST: 'file exists',
  EINVAL: 'invalid argument',
  EIO: 'input/output error',
  EISDIR: 'is a directory',
  ELOOP: 'too many levels of symbolic links',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'file name too long',
  ENODEV: 'no such device',
  ENOENT: 'no such file or directory',
  ENOEXEC: 'exec format error',
  ENOMEM: 'cannot allocate memory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
  ENOTSUP: 'operation not supported',
  ENOTTY: 'inappropriate ioctl for device',
  ENXIO: 'no such device or address',
  EOPNOTSUPP: 'operation not supported',
  EPERM: 'operation not permitted',
  EPIPE: 'broken pipe',
  EROFS: 'read-only file system',
  ESTALE: 'stale file handle',
  ETXTBSY: 'text file busy',
  E2BIG: 'argument list too long',
  EXDEV: 'invalid cross-device link',
}

const libuvText = new Map([...getSystemErrorMap().values()])

/**
 * The kernel's words for an errno name, as strerror(3) with a small first letter; the name itself where none is known.
 */
export function errnoText(name: string): string {
  return kernelText[name] ?? libuvText.get(name) ?? name
}
