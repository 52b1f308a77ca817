import type { Feature } from './capabilities/service.ts'
import type { Cgroups } from './cgroups/cgroups.ts'
import type { Config } from './config.ts'
import { ripgrep } from './files/ripgrep.ts'
import type { Keeper } from './keeper/keeper.ts'
import type { PortTable } from './ports/port-table.ts'

/** What depends on the machine or the flags, as the parts themselves say. */
export function featuresOf(
  config: Config,
  { keeper, groups, ports }: { readonly keeper: Keeper; readonly groups: Cgroups; readonly ports: PortTable },
): () => readonly Feature[] {
  const { absence } = groups
  const inGroups = absence ?? `in ${groups.root ?? ''}`
  const root = process.geteuid?.() === 0
  const own = `the daemon runs as user ${process.geteuid?.()}`
  const fixed: readonly Feature[] = [
    { name: 'cgroups', on: absence === undefined, reason: inGroups },
    { name: 'freeze', on: absence === undefined, reason: absence === undefined ? inGroups : `no cgroups: ${absence}` },
    { name: 'command_limits', on: groups.limiting.length > 0, reason: limitsReason(groups) },
    { name: 'other_users', on: root, reason: own },
    {
      name: 'metadata_service',
      on: !config.notFirecracker,
      reason: config.notFirecracker ? '-isnotfc is given' : '-isnotfc is not given',
    },
    {
      name: 'strict_file_users',
      on: config.strictFileUsers,
      reason: `-strict-file-users is ${config.strictFileUsers ? '' : 'not '}given`,
    },
    {
      name: 'output_resume',
      on: config.outputResume,
      reason: `-output-resume is ${config.outputResume}`,
    },
    { name: 'file_archive_uploads', on: true, reason: 'POST /files unpacks tar, tar.gz, tar.zst and zip' },
    { name: 'file_archives', on: true, reason: '/files sends directories as tar, tar.gz, tar.zst and zip' },
    { name: 'file_resumable_uploads', on: true, reason: '/uploads speaks tus 1.0.0' },
    { name: 'file_edits', on: true, reason: 'files.v1.Files edits many files at once, and takes edits back' },
    { name: 'file_changes', on: true, reason: 'files.v1.Files/Changes says what has changed since a token' },
    { name: 'file_trees', on: true, reason: 'files.v1.Files copies trees, sets their attributes and measures them' },
    { name: 'file_modes', on: true, reason: '/files takes mode=, chmod=, If-Match and If-None-Match' },
    {
      name: 'port_relay',
      on: true,
      reason: '/ports/N/, /absports/N/ and E2b-Sandbox-Port lead to ports of the sandbox',
    },
    { name: 'console', on: config.console, reason: `-console is ${config.console ? 'on' : 'off'}` },
    {
      name: 'kill_on_exit',
      on: config.killOnExit,
      reason: `-kill-on-exit is ${config.killOnExit ? '' : 'not '}given`,
    },
  ]
  return () => [...fixed, { name: 'file_search', ...ripgrep.state() }, kept(keeper), forwarding(ports)]
}

function kept({ present }: Keeper): Feature {
  const reason = present
    ? 'the daemon is started again when it ends unexpectedly'
    : '-no-keeper is given, or it was started without one'
  return { name: 'keeper', on: present, reason }
}

function limitsReason({ absence, limiting, root }: Cgroups): string {
  if (absence !== undefined) return `no cgroups: ${absence}`
  return limiting.length === 0 ? `${root} has no controller for them` : `controllers ${limiting.join(', ')}`
}

function forwarding(ports: PortTable): Feature {
  const state = ports.forwarding
  if ('at' in state) return { name: 'forwarding', on: true, reason: `at ${state.at}` }
  return { name: 'forwarding', on: false, reason: state.why }
}
