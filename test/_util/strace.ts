import { execFileSync } from 'node:child_process'

/** Whether strace(1), which makes system calls fail for tests, is missing or not allowed here. */
export function straceMissing(): boolean {
  try {
    execFileSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' })
    return false
  } catch {
    return true
  }
}
