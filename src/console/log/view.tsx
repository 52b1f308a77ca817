import { useMemo, useState } from 'preact/hooks'
import { Level } from '../../gen/logs/v1/logs_pb.js'
import { Failure } from '../components/failure.tsx'
import { formatTime } from '../format.ts'
import { FollowBox } from '../output/follow-box.tsx'
import { LineList } from '../output/line-list.tsx'
import { marked } from '../output/styled-text.tsx'
import type { ViewProps } from '../views.ts'
import { useLog } from './follow-log.ts'
import { LEVELS, type LogEntry, type LogFilter, levelName } from './log-model.ts'
import '../status.css'
import './style.css'

/** The log of the daemon itself. */
export function View({ session }: ViewProps) {
  const { entries, version, failure } = useLog(session)
  const [filter, setFilter] = useState<LogFilter>({ level: Level.INFO, logger: '', text: '' })
  const [follow, setFollow] = useState(true)
  const shown = useMemo(() => entries.matching(filter), [entries, version, filter])
  const line = (number: number) => {
    const entry = shown[number]
    return entry === undefined ? null : <Entry entry={entry} search={filter.text} />
  }
  const classOf = (number: number) => `level-${levelName(shown[number]?.level ?? Level.UNSPECIFIED)}`
  return (
    <div class="log">
      <div class="bar">
        <Filters filter={filter} loggers={entries.loggers} onFilter={setFilter} />
        <span class="space" />
        <span class="hint" role="status">
          {shown.length} of {entries.all.length} lines
        </span>
        <FollowBox follow={follow} onFollow={setFollow} />
      </div>
      <Failure text={failure} />
      <LineList
        label="Log of the daemon"
        start={0}
        end={shown.length}
        line={line}
        classOf={classOf}
        follow={follow}
        onFollow={setFollow}
        target={undefined}
      />
    </div>
  )
}

function Entry({ entry, search }: { readonly entry: LogEntry; readonly search: string }) {
  return (
    <>
      <span class="faint">{formatTime(entry.time)} </span>
      <span class="level">{levelName(entry.level).padEnd(5)} </span>
      <span class="faint">{marked(entry.logger, search)} </span>
      <span>{marked(entry.message, search)} </span>
      <span class="faint">{marked(entry.fields, search)}</span>
    </>
  )
}

interface FiltersProps {
  readonly filter: LogFilter
  readonly loggers: readonly string[]
  readonly onFilter: (filter: LogFilter) => void
}

function Filters({ filter, loggers, onFilter }: FiltersProps) {
  return (
    <>
      <input
        type="search"
        placeholder="Filter"
        aria-label="Filter lines"
        value={filter.text}
        onInput={(event) => onFilter({ ...filter, text: event.currentTarget.value })}
      />
      <select
        aria-label="Lowest level"
        value={filter.level}
        onChange={(event) => onFilter({ ...filter, level: Number(event.currentTarget.value) })}
      >
        {LEVELS.map(({ level, name }) => (
          <option key={name} value={level}>
            {name}
          </option>
        ))}
      </select>
      <select
        aria-label="Logger"
        value={filter.logger}
        onChange={(event) => onFilter({ ...filter, logger: event.currentTarget.value })}
      >
        <option value="">all loggers</option>
        {loggers.map((logger) => (
          <option key={logger} value={logger}>
            {logger}
          </option>
        ))}
      </select>
    </>
  )
}
