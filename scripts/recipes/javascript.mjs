// npm install e2b; E2B_DEBUG=true node javascript.mjs, for a daemon at localhost:49983. Elsewhere, or behind a proxy:
// E2B_SANDBOX_URL=http://localhost:8080 as well.
import { Sandbox } from 'e2b'

const sandbox = await Sandbox.create({ apiKey: `e2b_${'0'.repeat(40)}` })

const result = await sandbox.commands.run('echo "hello from $(uname -s)"')
console.log(result.exitCode, result.stdout)

await sandbox.files.write('/tmp/greeting.txt', 'written by JavaScript')
console.log(await sandbox.files.read('/tmp/greeting.txt'))

const counting = await sandbox.commands.run('for i in 1 2 3; do echo $i; done', {
  onStdout: (text) => process.stdout.write(text),
})
console.log(counting.exitCode)
