import { print, table } from '../../lib/cli/terminal.js'
import { sideBySide } from '../measure.js'
import { type Cell, format, inWords } from '../result.js'
import { networks, type Options } from './options.js'

export const batches = [1, 2, 4, 8, 16, 32, 64]
export const sizes = [224, 288, 384, 448, 512]
/** The batch size for images of all sizes. */
export const sizesBatch = 8

/** How the time of visiontorch's inference grows with batch size, threads and image size; `npm run bench:plot` draws it. */
export async function growth({ network = networks, dtype, rounds, threads }: Options): Promise<void> {
  for (const name of network)
    for (const type of dtype)
      for (const count of new Set([1, threads])) {
        const cells: Cell[] = []
        const measure = async (batch: number, size: number) => {
          const title = `growth ${name}, batch ${batch}, ${size} pixels, ${inWords(type, count)}`
          const task = { work: 'inference', network: name, batch, size, dtype: type, threads: count } as const
          cells.push(await sideBySide(title, ['visiontorch'], task, { rounds, images: batch }))
        }
        for (const batch of batches) await measure(batch, 224)
        for (const size of sizes.filter(size => size !== 224)) await measure(sizesBatch, size)
        print(`\ngrowth ${name}, ${inWords(type, count)}`)
        print(growthTable(cells))
      }
}

function growthTable(cells: readonly Cell[]): string {
  const figures = Object.keys(cells[0]!.peers.visiontorch!.figures)
  const rows = cells.map(({ job, peers }) => {
    const { time, figures: values } = peers.visiontorch!
    return [job!.batch, job!.size, format(time.median), ...figures.map(name => format(values[name]))]
  })
  return table(['batch', 'pixels', 'median ms', ...figures], rows, 'r'.repeat(3 + figures.length))
}
