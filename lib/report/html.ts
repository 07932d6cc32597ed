import { printable } from '../util/text.js'

/** HTML as text: made by {@link html} only. */
export class Html {
  constructor(readonly text: string) {}
}

/** What a template of {@link html} takes: everything but Html is escaped; false, null and undefined are left out. */
export type Content = Html | string | number | false | null | undefined | readonly Content[]

/** A template of HTML. Values are text, whatever they hold; only Html goes in as it is. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.map((part, i) => (i === 0 ? part : render(values[i - 1]) + part)).join(''))
}

function render(value: Content): string {
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(render).join('')
  if (value === false || value === null || value === undefined) return ''
  return escapeHtml(String(value))
}

/** At most 1,000 characters, so that no name of a file's makes a page of megabytes. */
function escapeHtml(text: string): string {
  return printable(text, 1000).replace(/[&<>"'`]/g, character => `&#${character.charCodeAt(0)};`)
}
