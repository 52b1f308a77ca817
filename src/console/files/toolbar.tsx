import { useRef } from 'preact/hooks'
import { Menu, type MenuItem } from '../components/menu.tsx'
import { type Chosen, readChosen } from './dropped.ts'
import { crumbsOf, nameOf, shownName } from './paths.ts'

/** What the buttons do. */
export interface ToolbarActions {
  readonly goTo: (path: string) => void
  readonly upload: (files: readonly Chosen[]) => void
  readonly newFile: () => void
  readonly newDirectory: () => void
  readonly search: () => void
  /** Shows what is selected only. */
  readonly enter: () => void
  readonly rename: () => void
  readonly remove: () => void
  readonly download: () => void
  readonly copyPath: () => void
  readonly refresh: () => void
}

interface ToolbarProps {
  readonly root: string
  /** Files that are selected. */
  readonly count: number
  /** Whether what is selected can be named in a request. */
  readonly addressable: boolean
  readonly user: string
  readonly users: readonly string[]
  readonly onUser: (user: string) => void
  readonly actions: ToolbarActions
}

/** Where one is, and what can be done there and with what is selected. */
export function Toolbar({ root, count, addressable, user, users, onUser, actions }: ToolbarProps) {
  const files = useRef<HTMLInputElement>(null)
  const directory = useRef<HTMLInputElement>(null)
  const some = count > 0 && addressable
  const more: readonly MenuItem[] = [
    { title: 'Upload a directory', onSelect: () => directory.current?.click() },
    { title: 'Go into', onSelect: actions.enter, disabled: count !== 1 || !addressable },
    { title: 'New file', onSelect: actions.newFile },
    { title: 'New directory', onSelect: actions.newDirectory },
    { title: 'Rename', onSelect: actions.rename, disabled: count !== 1 || !addressable },
    { title: 'Copy path', onSelect: actions.copyPath, disabled: count === 0 },
    { title: 'Refresh', onSelect: actions.refresh },
    { title: 'Delete', onSelect: actions.remove, danger: true, disabled: !some },
  ]
  return (
    <div class="bar">
      <Crumbs root={root} goTo={actions.goTo} />
      <span class="space" />
      <label class="acting">
        <span class="minor">as </span>
        <select
          aria-label="Acting user"
          value={user}
          onChange={({ currentTarget }) => {
            const next = currentTarget.value
            // It shows who acts, which may be asked about first.
            currentTarget.value = user
            onUser(next)
          }}
        >
          {users.map((name) => (
            <option key={name} value={name}>
              {name === '' ? 'default user' : name}
            </option>
          ))}
        </select>
      </label>
      <button type="button" class="primary" onClick={() => files.current?.click()}>
        Upload
      </button>
      <button type="button" onClick={actions.search}>
        Search
      </button>
      <button type="button" disabled={!some} onClick={actions.download}>
        Download
      </button>
      <Menu title="More" label="More actions" items={more} />
      <Chooser field={files} directory={false} onChosen={actions.upload} />
      <Chooser field={directory} directory onChosen={actions.upload} />
    </div>
  )
}

interface ChooserProps {
  readonly field: { current: HTMLInputElement | null }
  readonly directory: boolean
  readonly onChosen: (files: readonly Chosen[]) => void
}

/** Opens the browser's own dialog; a button in sight clicks it. */
function Chooser({ field, directory, onChosen }: ChooserProps) {
  const onChange = ({ currentTarget }: { readonly currentTarget: HTMLInputElement }) => {
    onChosen(readChosen(currentTarget.files ?? new DataTransfer().files))
    currentTarget.value = ''
  }
  const label = directory ? 'Directory to upload' : 'Files to upload'
  const input = (element: HTMLInputElement | null) => {
    field.current = element
    if (element !== null) element.webkitdirectory = directory
  }
  return <input ref={input} type="file" multiple hidden aria-label={label} onChange={onChange} />
}

function Crumbs({ root, goTo }: { readonly root: string; readonly goTo: (path: string) => void }) {
  const crumbs = crumbsOf(root)
  return (
    <nav class="crumbs" aria-label="Path">
      {crumbs.map((path, index) => (
        <button
          key={path}
          type="button"
          aria-current={index === crumbs.length - 1 ? 'location' : undefined}
          onClick={() => goTo(path)}
        >
          <bdi>{shownName(nameOf(path))}</bdi>
        </button>
      ))}
    </nav>
  )
}
