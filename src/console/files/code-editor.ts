import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import {
  bracketMatching,
  defaultHighlightStyle,
  HighlightStyle,
  indentOnInput,
  StreamLanguage,
  syntaxHighlighting,
} from '@codemirror/language'
import { MergeView } from '@codemirror/merge'
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search'
import { Compartment, EditorState, type Extension } from '@codemirror/state'
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { languageOf } from './languages.ts'
import { lineEnd } from './opened-file.ts'

/** An editor on the page. */
export interface CodeEditor {
  /** As it is now, with the line ends that it came with. */
  text(): string
  /** Takes another text, and keeps the place. */
  setText(text: string): void
  /** Shows a line, from 1 on. */
  goTo(line: number): void
  focus(): void
  destroy(): void
}

interface EditorOptions {
  readonly text: string
  /** Of the file; says the language. */
  readonly name: string
  /** For screen readers. */
  readonly label: string
  readonly readOnly: boolean
  readonly onChange: () => void
  /** Ctrl+S was pressed. */
  readonly onSave: () => void
}

/**
 * Puts an editor into an element. It lives in a shadow root, where its styles are objects and not `<style>` elements,
 * which the page's policy does not allow. The caller destroys it.
 */
export function createCodeEditor(host: HTMLElement, options: EditorOptions): CodeEditor {
  const language = new Compartment()
  const root = host.attachShadow({ mode: 'open' })
  const stateOf = (text: string) =>
    EditorState.create({ doc: text, extensions: [extensionsOf(options, text), language.of([])] })
  const view = new EditorView({ state: stateOf(options.text), parent: root, root })
  const highlight = () =>
    languageOf(options.name, options.text, (mode) => StreamLanguage.define(mode)).then(
      (found) => found !== undefined && view.dispatch({ effects: language.reconfigure(found) }),
      // Without colours it is a text as well.
      () => undefined,
    )
  void highlight()
  return {
    text: () => view.state.sliceDoc(),
    setText(text) {
      const { head } = view.state.selection.main
      view.setState(stateOf(text))
      view.dispatch({ selection: { anchor: Math.min(head, view.state.doc.length) }, scrollIntoView: true })
      void highlight()
    },
    goTo(line) {
      const at = view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines)))
      view.dispatch({ selection: { anchor: at.from }, effects: EditorView.scrollIntoView(at.from, { y: 'center' }) })
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  }
}

/** Shows two texts side by side, with what differs marked. The caller destroys what is returned. */
export function createDiff(
  host: HTMLElement,
  { mine, theirs }: { readonly mine: string; readonly theirs: string },
): { destroy(): void } {
  const root = host.attachShadow({ mode: 'open' })
  const side = (doc: string, label: string) => ({
    doc,
    extensions: [LOOK, lineNumbers(), readOnly(), EditorView.lineWrapping, named(label)],
  })
  return new MergeView({
    ...{ parent: root, root, a: side(theirs, 'On the disk'), b: side(mine, 'Yours') },
    // Long parts that are the same are folded; a diff that takes longer is less exact.
    ...{ collapseUnchanged: { margin: 3 }, diffConfig: { scanLimit: 1000, timeout: 1000 } },
  })
}

function extensionsOf({ label, readOnly: fixed, onChange, onSave }: EditorOptions, text: string): Extension {
  const run = () => {
    onSave()
    return true
  }
  return [
    ...[LOOK, lineNumbers(), history(), drawSelection(), highlightActiveLine(), highlightSelectionMatches()],
    ...[bracketMatching(), indentOnInput(), highlightSpecialChars(), search({ top: true })],
    // Escape, then Tab, leaves the editor.
    keymap.of([{ key: 'Mod-s', run }, ...searchKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab]),
    EditorState.lineSeparator.of(lineEnd(text)),
    named(label),
    EditorView.updateListener.of(({ docChanged }) => docChanged && onChange()),
    fixed ? readOnly() : [],
  ]
}

/** The content is in the order of the Tab key as any field. */
function named(label: string): Extension {
  return EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', tabindex: '0' })
}

function readOnly(): Extension {
  return [EditorState.readOnly.of(true)]
}

/** Colours are those of the page, which change with its theme. */
const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier, tags.tagName], color: 'var(--code-keyword)' },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: 'var(--code-string)' },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: 'var(--code-number)' },
  { tag: [tags.comment, tags.meta], color: 'var(--code-comment)', fontStyle: 'italic' },
  { tag: [tags.function(tags.variableName), tags.definition(tags.variableName)], color: 'var(--code-name)' },
  { tag: [tags.typeName, tags.className, tags.namespace, tags.attributeName], color: 'var(--code-type)' },
  { tag: tags.heading, fontWeight: 'bold', color: 'var(--code-keyword)' },
  { tag: tags.emphasis, fontStyle: 'italic' },
  { tag: tags.strong, fontWeight: 'bold' },
  { tag: [tags.link, tags.url], textDecoration: 'underline' },
  { tag: tags.invalid, color: 'var(--danger)' },
])

const LOOK: Extension = [
  EditorView.theme({
    '&': { height: '100%', color: 'var(--text)', backgroundColor: 'var(--ground)', fontSize: '13px' },
    '&.cm-focused': { outline: 'none' },
    '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5' },
    '.cm-content': { caretColor: 'var(--text)' },
    '.cm-cursor': { borderLeftColor: 'var(--text)' },
    '.cm-gutters': { backgroundColor: 'var(--raised)', color: 'var(--faint)', borderRight: '1px solid var(--line)' },
    '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--selected) 40%, transparent)' },
    '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
      backgroundColor: 'var(--code-selection)',
    },
    '.cm-panels': { backgroundColor: 'var(--raised)', color: 'var(--text)' },
    '.cm-panels-top': { borderBottom: '1px solid var(--line)' },
    '.cm-textfield, .cm-button': {
      ...{ backgroundImage: 'none', backgroundColor: 'var(--ground)', color: 'var(--text)' },
      ...{ border: '1px solid var(--line)', borderRadius: '4px' },
    },
    '.cm-specialChar': { color: 'var(--danger)' },
  }),
  syntaxHighlighting(COLOURS),
  syntaxHighlighting(defaultHighlightStyle, { fallback: true }),
]
