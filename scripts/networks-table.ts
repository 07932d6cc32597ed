// Writes the tables of docs/networks.md from weights/manifest.json, and the measured images/s from bench/results.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { listWeights, type OfficialWeights } from '../lib/weights/manifest.js'

const root = join(import.meta.dirname, '..')
const path = join(root, 'docs/networks.md')
const command = 'npm run networks-table'

/** Good choices of networks by purpose. */
const choices: [need: string, architectures: string[]][] = [
  ['A slow machine, or many images per second', ['mobilenet_v3_large', 'efficientnet_b0']],
  ['A first try that trains quickly', ['resnet18']],
  ['A solid default', ['resnet50', 'regnet_y_3_2gf']],
  ['Accuracy for moderate work', ['convnext_tiny', 'efficientnet_v2_s']],
  ['The best accuracy, if time does not matter', ['convnext_large', 'efficientnet_v2_l']],
  ['A transformer', ['swin_t', 'vit_b_16']],
]

/** The DEFAULT weights of every network by name. */
const defaults = new Map(listWeights().flatMap(entry => (entry.default ? [[entry.architecture, entry]] : [])))

/** For each file of results: images/s of float32 inference with batches of 32, by network. */
function measured(): { title: string; rates: Map<string, number> }[] {
  const folder = join(root, 'bench/results')
  const columns = readdirSync(folder)
    .filter(name => name.endsWith('.json'))
    .toSorted()
    .map(name => {
      const { machine, cells } = JSON.parse(readFileSync(join(folder, name), 'utf8'))
      const rates = new Map<string, number>()
      for (const { work, peers } of cells) {
        const network = /^inference (\w+), batch 32, float32$/.exec(work)?.[1]
        if (network !== undefined) rates.set(network, 32_000 / peers.visiontorch.time.median)
      }
      return { title: `images/s, ${machine.cpu}, ${machine.kernels}, ${machine.threads} threads`, rates }
    })
  return columns.filter(({ rates }) => rates.size > 0)
}

function networksTable(): string {
  const speeds = measured()
  const rows = [...defaults.values()].map(entry => [
    `\`${entry.architecture}\`${entry.license === null ? '' : ' (NC)'}`,
    entry.accuracy!.top1.toFixed(1),
    entry.accuracy!.top5.toFixed(1),
    millions(entry),
    entry.multiplyAdds.toFixed(2),
    `${entry.preprocessing.crop}`,
    entry.preprocessing.interpolation,
    ...speeds.map(({ rates }) => rates.get(entry.architecture)?.toFixed(0) ?? '-'),
  ])
  const titles = ['Network', 'Top-1', 'Top-5', 'Parameters, M', 'Multiply-adds, G', 'Input', 'Resized']
  return table([...titles, ...speeds.map(({ title }) => title)], rows)
}

function choicesTable(): string {
  const rows = choices.map(([need, architectures]) => [
    need,
    architectures.map(name => `\`${name}\``).join(', '),
    architectures.map(name => defaults.get(name)!.accuracy!.top1.toFixed(1)).join(', '),
    architectures.map(name => defaults.get(name)!.multiplyAdds.toFixed(1)).join(', '),
  ])
  return table(['You need', 'Choose', 'Top-1', 'Multiply-adds, G'], rows)
}

const millions = ({ parameterCount }: OfficialWeights) => (parameterCount / 1e6).toFixed(1)

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const rules = titles.map((_, i) => (/^[\d.]*$/.test(rows[0]![i]!) ? '---:' : '---'))
  return [titles, rules, ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

/** Returns the document with the current tables. */
export function withTables(document: string): string {
  const put = (text: string, name: string, content: string) =>
    text.replace(
      new RegExp(`(?<=<!-- ${name}: ${command} -->\n).*?(?=<!-- end of ${name} -->)`, 's'),
      () => `\n${content}\n\n`,
    )
  return put(put(document, 'choices', choicesTable()), 'networks', networksTable())
}

export const networksDocument = path

if (process.argv[1] === import.meta.filename) {
  writeFileSync(path, withTables(readFileSync(path, 'utf8')))
}
