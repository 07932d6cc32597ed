import { themes } from './chart.js'

// The report's style sheet and its only script.

const variables = (theme: Readonly<Record<string, string>>) =>
  Object.entries(theme)
    .map(([name, value]) => `--${name}: ${value};`)
    .join(' ')

/** Defines a class for each percentage, because the page's policy forbids style attributes. */
const shares = Array.from(
  { length: 101 },
  (_, percent) => `.s${percent} { --share: ${percent / 100}; }`,
).join(' ')

export const style = `
:root {
  --page: #f6f7f9; --surface: #ffffff; --edge: #e1e4e9; ${variables(themes.light)}
  --bar: #dbe6fb; --wrong: #b3261e; --right: #8a6100;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1216; --surface: #181c22; --edge: #272d36; ${variables(themes.dark)}
    --bar: #2a3b5c; --wrong: #ff8a80; --right: #e8c15a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Helvetica, Arial, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1240px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.25; letter-spacing: -0.01em; margin: 0 0 20px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 44px 0 12px; }
h3 { font-size: 15px; margin: 0 0 8px; }
p { margin: 0; }
.note { color: var(--muted); max-width: 75ch; margin-bottom: 12px; }
.card { background: var(--surface); border: 1px solid var(--edge); border-radius: 12px; padding: 14px; margin: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 12px; margin: 0; }
.tiles div { background: var(--surface); border: 1px solid var(--edge); border-radius: 12px; padding: 12px 16px; }
.tiles dt { color: var(--muted); font-size: 13px; }
.tiles dd { margin: 0; font-size: 23px; font-weight: 650; letter-spacing: -0.01em; white-space: nowrap; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 14px; }
figure svg { display: block; width: 100%; height: auto; }
.matrix svg { width: auto; max-width: none; }
.verdict-card { border-left: 5px solid var(--tone); margin-bottom: 16px; }
.verdict-card .lead { font-size: 17px; font-weight: 600; margin-bottom: 4px; overflow-wrap: anywhere; }
.good { --tone: var(--series-3); } .fair { --tone: var(--series-2); } .bad { --tone: var(--wrong); }
${shares}
figure .mark-rect [aria-label] { pointer-events: all; }
.confusions { display: grid; grid-template-columns: minmax(0, auto) minmax(min(100%, 320px), 1fr); gap: 14px; align-items: start; }
@media (max-width: 900px) { .confusions { grid-template-columns: minmax(0, 1fr); } }
.scroll { overflow: auto; }
.tall { max-height: 560px; }
details { margin-top: 14px; }
details > .configuration { margin-top: 8px; }
summary { cursor: pointer; color: var(--muted); }
section > details > .scroll { margin-top: 10px; background: var(--surface); border: 1px solid var(--edge); border-radius: 12px; padding: 6px 14px 14px; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 6px 10px; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; }
tbody tr:last-child > * { border-bottom: 0; }
thead th { color: var(--muted); font-weight: 500; font-size: 13px; position: sticky; top: 0; background: var(--surface); }
.texts-1 :is(th, td):nth-child(-n + 1), .texts-2 :is(th, td):nth-child(-n + 2) { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 112px; }
.best { font-weight: 650; }
.measure span {
  display: block; min-width: 92px; padding: 1px 8px; border-radius: 5px;
  background: linear-gradient(to right, var(--bar) calc(100% * var(--share)), transparent 0) var(--page);
}
.configuration { columns: 480px; column-gap: 36px; margin: 0; }
.configuration div { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 12px; padding: 5px 0; break-inside: avoid; border-bottom: 1px solid var(--grid); overflow-wrap: anywhere; }
.configuration dt { color: var(--muted); }
.configuration dd { margin: 0; }
.worst { list-style: none; margin: 0; padding: 0; display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); }
.worst .card { padding: 10px; min-width: 0; font-size: 14px; line-height: 1.45; overflow-wrap: anywhere; }
.picture { height: 150px; margin-bottom: 8px; display: grid; place-items: center; background: var(--page); border-radius: 8px; overflow: hidden; }
.picture img { width: 100%; height: 150px; object-fit: contain; }
.missing, .file { color: var(--muted); font-size: 12px; }
.verdict { font-size: 12px; font-weight: 650; }
.wrong { color: var(--wrong); }
.right { color: var(--right); }
:focus-visible { outline: 2px solid var(--series-1); outline-offset: 2px; }
#tip {
  position: fixed; z-index: 1; pointer-events: none; max-width: min(300px, 90vw); padding: 6px 10px; border-radius: 8px;
  background: var(--ink); color: var(--page); font-size: 13px;
}
@media (max-width: 500px) {
  main { padding: 20px 12px 40px; }
  th, td { padding: 6px; }
  .measure span { min-width: 64px; }
  .worst { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media print { .scroll { overflow: visible; max-height: none; } }
`

// Shows the label of the epoch or cell under the pointer, which the drawings contain for screen readers.
export const script = `
const tip = document.getElementById('tip')
document.addEventListener('pointermove', ({ target, clientX, clientY }) => {
  const marked = target.closest('figure svg .mark-rect [aria-label]')
  tip.hidden = marked === null
  if (marked === null) return
  tip.textContent = marked.getAttribute('aria-label')
  const { width, height } = tip.getBoundingClientRect()
  tip.style.left = Math.max(4, Math.min(clientX + 12, innerWidth - width - 4)) + 'px'
  tip.style.top = (clientY - height - 12 < 4 ? clientY + 16 : clientY - height - 12) + 'px'
})
`
