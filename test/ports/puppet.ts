import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/**
 * A process that listens and stops listening as the test says. Each connection gets `from <name>` and a line feed, and
 * is ended.
 */
export interface Puppet extends AsyncDisposable {
  readonly pid: number
  /** Listens on an address; resolves with the port. `port` 0 takes a free one. */
  listen(address: string, port?: number): Promise<number>
  /** Closes the oldest of its listeners; connections stay open. */
  close(): Promise<void>
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

const program = `
const { createServer } = require('node:net')
const servers = []
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb, host, port] = line.split(' ')
  if (verb === 'close') return servers.shift().close(), console.log('closed')
  const server = createServer((socket) => socket.on('error', () => {}).end('from ' + process.argv[1] + '\\n'))
  server.on('error', (error) => console.log(error.code))
  server.listen({ host, port: Number(port) }, () => console.log(server.address().port))
  servers.push(server)
})
console.log('ready')
`

/** Starts one, under a name. */
export async function startPuppet(name: string): Promise<Puppet> {
  const child = spawn(process.execPath, ['-e', program, name], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => {
    const line = await lines.next()
    if (line.done) throw new Error('the puppet has ended')
    return line.value
  }
  await answer()
  const kill = () => ended(child)
  return {
    pid: child.pid ?? 0,
    listen: async (address, port = 0) => {
      child.stdin.write(`listen ${address} ${port}\n`)
      const line = await answer()
      if (!/^\d+$/.test(line)) throw new Error(`cannot listen on ${address} ${port}: ${line}`)
      return Number(line)
    },
    close: async () => {
      child.stdin.write('close\n')
      await answer()
    },
    kill,
    [Symbol.asyncDispose]: kill,
  }
}

/** SIGKILL, then waits for the end. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
