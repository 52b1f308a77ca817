/**
 * Usage: spawn-child.ts MEGABYTES. Fills itself up to that size, starts /bin/true many times, prints the median in ms.
 */
import { readFileSync } from 'node:fs'
import { close, pidfdWait, poll, spawn } from '../../src/native/index.ts'
import { latencyOf } from './measure.ts'

const wanted = Number(process.argv[2]) * 1024 * 1024
const page = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
const ballast = Buffer.alloc(Math.max(0, wanted - page), 1)
const devNull = 0

async function once(): Promise<void> {
  const { pidfd } = await spawn({
    file: '/bin/true',
    args: [],
    env: [],
    cwd: '/',
    stdio: [devNull, devNull, devNull],
    terminal: false,
  })
  await new Promise<void>((resolve) => {
    const exit = poll(pidfd, false, () => {
      if (pidfdWait(pidfd) === undefined) return
      exit.close()
      close(pidfd)
      resolve()
    })
    exit.start()
  })
}

const { p50 } = await latencyOf(once, { count: 500 })
if (ballast.length > 0 && ballast[0] !== 1) throw new Error('the ballast is gone')
console.log(p50)
