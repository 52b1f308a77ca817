import { useState } from 'preact/hooks'
import { Failure } from '../components/failure.tsx'
import { FollowBox } from '../output/follow-box.tsx'
import { LineList } from '../output/line-list.tsx'
import { SearchBar } from '../output/search-bar.tsx'
import { StyledText } from '../output/styled-text.tsx'
import type { Session } from '../session.ts'
import { useOutput } from './follow-output.ts'

/** The output of a job, followed, with search. */
export function OutputPane({ session, pid }: { readonly session: Session; readonly pid: number }) {
  const { output, failure } = useOutput(session, pid)
  const [follow, setFollow] = useState(true)
  const [search, setSearch] = useState('')
  const [target, setTarget] = useState<number | undefined>(undefined)
  const { lines } = output
  const line = (number: number) => {
    const shown = lines.at(number)
    return shown === undefined ? null : <StyledText line={shown} search={search} />
  }
  const classOf = (number: number) => `${lines.at(number)?.kind ?? ''} ${number === target ? 'target' : ''}`
  const goTo = (number: number) => {
    setFollow(false)
    setTarget(number)
  }
  return (
    <>
      <div class="bar">
        <SearchBar lines={lines} search={search} onSearch={setSearch} target={target} onTarget={goTo} />
        <span class="space" />
        <FollowBox follow={follow} onFollow={setFollow} />
      </div>
      <Failure text={failure} />
      <LineList
        label="Output"
        start={lines.start}
        end={lines.end}
        line={line}
        classOf={classOf}
        follow={follow}
        onFollow={setFollow}
        target={target}
      />
    </>
  )
}
