import { printable } from '../util/text.js'

/** HTML as text. Only {@link html} creates it. */
export class Html {
  constructor(readonly text: string) {}
}

/** A value in a template of {@link html}: everything except Html is escaped; false, null and undefined are left out. */
export type Content = Html | string | number | false | null | undefined | readonly Content[]

/** A template of HTML. Values are inserted as text; only Html is inserted unchanged. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.map((part, i) => (i === 0 ? part : render(values[i - 1]) + part)).join(''))
}

function render(value: Content): string {
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(render).join('')
  if (value === false || value === null || value === undefined) return ''
  return escapeHtml(String(value))
}

/** Limits text to 1,000 characters, so that a name from a file cannot make the page megabytes long. */
function escapeHtml(text: string): string {
  return printable(text, 1000).replace(/[&<>"'`]/g, character => `&#${character.charCodeAt(0)};`)
}
