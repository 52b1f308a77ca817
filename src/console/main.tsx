import { render } from 'preact'
import { App } from './app.tsx'
import { takeToken } from './fragment.ts'

const root = document.getElementById('app')
if (root === null) throw new Error('the page has no element for the app')
render(<App token={takeToken(location, history)} />, root)
