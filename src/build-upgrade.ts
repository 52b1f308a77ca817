import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { DEFAULT_ARCHIVE_LIMITS } from './archives/limits.ts'
import { unpackArchive } from './archives/unpack-archive.ts'
import type { Features, Frame } from './build-features.ts'
import type { Config } from './config.ts'
import { AppError } from './errors.ts'
import type { UpgradeFeature } from './http/routes/upgrade.ts'
import { deliver, type Places, removeOthers, type UnpackBundle } from './upgrade/delivered.ts'
import type { HandOver } from './upgrade/hand-over.ts'
import { createUpgrade } from './upgrade/upgrade.ts'

const PLACES = { file: '/usr/bin/envd.next', store: '/var/lib/envd/programs' }

/** Builds what exchanges the daemon. @param handOver stops taking requests, and ends this process. */
export function buildUpgrade(
  { bodyStall }: Config,
  frame: Frame,
  features: Features,
  handOver: (own: HandOver) => void,
) {
  const { keeper, taken, logs } = frame
  const { kept, files } = features
  const log = logs.log.named('upgrade')
  const { run } = features.host.commands
  const words = process.argv.length - 2
  const { before, announce } = kept
  const upgrade = createUpgrade({ keeper, taken, before, run, words, announce, handOver, log })
  const unpack = unpackerOf(files.budget, bodyStall, log)
  const places: Places = { ...PLACES, keeper: process.ppid }
  let delivering = false
  let delivered: string | undefined
  const feature: UpgradeFeature = {
    deliver: async (body, digest, signal) => {
      // There is one place for what comes.
      if (delivering || upgrade.report.state === 'under_way')
        throw new AppError('failed_precondition', 'another upgrade is under way')
      delivering = true
      try {
        delivered = await deliver(body, { places, unpack, idleMs: bodyStall, digest, signal })
        return delivered
      } finally {
        delivering = false
      }
    },
    start: async (directory, signal) => {
      try {
        await upgrade.start(directory, signal)
      } catch (error) {
        // What was refused is not run, and up to 512 MiB each time.
        if (directory !== undefined && directory === delivered) {
          await rm(directory, { recursive: true, force: true })
          await rm(PLACES.file, { force: true })
        }
        throw error
      }
    },
    get report() {
      return upgrade.report
    },
  }
  const serving = () => {
    upgrade.serving()
    if (taken.trial || taken.wentBack) void removeOthers(places, before?.program ?? '')
    // What did not serve; its errors are those of a file that stays until the next delivery.
    if (taken.wentBack) void rm(PLACES.file, { force: true }).catch(() => {})
  }
  return { serving, feature: upgrade.possible ? feature : undefined }
}

function unpackerOf(budget: Features['files']['budget'], idleMs: number, log: Frame['logs']['log']): UnpackBundle {
  return async (file, path, signal) => {
    const archive = createReadStream(file)
    // Its failure is that of the stream that is read.
    const source = pipeline(archive, createGunzip(), () => {})
    const owner = { name: 'root', uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, home: '/', shell: '' }
    const hold = budget.hold('upload', { connection: undefined, user: 'root' })
    try {
      const limits = { limits: DEFAULT_ARCHIVE_LIMITS, received: () => archive.bytesRead, hold }
      await unpackArchive(source, {
        ...{ path, mode: 'create', owner, archiveOwners: false, strip: 1, signal, idleMs, log, ...limits },
      })
    } finally {
      hold.release()
      archive.destroy()
    }
  }
}
