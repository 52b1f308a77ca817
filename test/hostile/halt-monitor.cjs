/**
 * Loaded into the daemon before its program: writes a line for every turn of the event loop that kept the main thread
 * busy for long, to the file that `ENVD_HALTS` names. Time on the processor, collection of garbage included, so that
 * other work on the machine does not count. Plain JavaScript: to strip types takes 15 MB.
 */
const { appendFileSync } = require('node:fs')

/** Milliseconds of a turn worth a line. */
const NOTABLE_MS = 5

const file = process.env['ENVD_HALTS'] ?? ''
delete process.env['ENVD_HALTS']
let last = process.threadCpuUsage()
setInterval(() => {
  const { user, system } = process.threadCpuUsage(last)
  const milliseconds = (user + system) / 1000
  if (milliseconds >= NOTABLE_MS) appendFileSync(file, `${milliseconds}\n`)
  last = process.threadCpuUsage()
}, 1).unref()
