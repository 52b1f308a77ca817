// npm install @grpc/grpc-js @grpc/proto-loader; node grpc.mjs [HOST:PORT]. There is no reflection: clients take the
// files of proto/.
import { credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const options = { includeDirs: [new URL('../../proto', import.meta.url).pathname], oneofs: true }
const { process: definitions } = loadPackageDefinition(loadSync('process/process.proto', options))
const client = new definitions.Process(process.argv[2] ?? 'localhost:49983', credentials.createInsecure())

const metadata = new Metadata()
// Once a token is set:     metadata.set('x-access-token', token)
// As another user:         metadata.set('authorization', `Basic ${Buffer.from('user:').toString('base64')}`)
const command = { cmd: '/bin/sh', args: ['-c', 'echo "hello from $(uname -s)"'] }
for await (const { event } of client.Start({ process: command, stdin: false }, metadata)) {
  if (event.event === 'data') process.stdout.write(event.data.stdout)
  if (event.event === 'end') console.log(event.end.status)
}
client.close()
