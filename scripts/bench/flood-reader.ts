/**
 * Usage: flood-reader.ts URL TAG. Starts a command that writes without end, reads all of it, and says when it began.
 */
import { Client } from './client.ts'

const [url = '', tag = ''] = process.argv.slice(2)
let begun = false
await new Client(url).stream('process.Process/Start', { process: { cmd: '/usr/bin/yes' }, stdin: false, tag }, () => {
  if (!begun) console.log('begun')
  begun = true
})
