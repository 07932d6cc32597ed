import { createWriteStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer'
import { pack } from 'tar-stream'
import type { Dataset, Sample } from '../../lib/data/dataset.js'

/** Lists the images of a data set in folders. */
export function* allSamples({
  splits,
  classes,
}: Dataset): Generator<Sample & { split: string; name: string }> {
  for (const [split, samples] of splits)
    for (const sample of samples) yield { ...sample, split, name: classes[sample.label]! }
}

/** Makes a tar file of these entries, in their order. */
export async function writeTar(
  path: string,
  entries: readonly (readonly [name: string, content: string | Buffer])[],
): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const tar = pack()
  for (const [name, content] of entries) tar.entry({ name, mtime: new Date(0) }, content as string)
  tar.finalize()
  const out = createWriteStream(path)
  await (/gz$/.test(path) ? pipeline(tar, createGzip(), out) : pipeline(tar, out))
}

/** Writes WebDataset tar files, one per split. */
export async function writeShards(folder: string, dataset: Dataset, extension = 'tar'): Promise<void> {
  for (const split of dataset.splits.keys()) {
    const entries: [string, string | Buffer][] = []
    for (const { path, name, split: own } of allSamples(dataset)) {
      if (own !== split) continue
      const key = String(entries.length / 2).padStart(6, '0')
      entries.push([`${key}.cls`, name], [`${key}.png`, await readFile(path)])
    }
    await writeTar(join(folder, `photos-${split}-0.${extension}`), entries)
  }
}

/** Writes Parquet files like the Hub's library, one per split. */
export async function writeParquet(folder: string, dataset: Dataset): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const split of dataset.splits.keys()) {
    const samples = [...allSamples(dataset)].filter(sample => sample.split === split)
    const bytes = await Promise.all(samples.map(({ path }) => readFile(path)))
    const columnData: ColumnSource[] = [
      { name: 'image', data: bytes.map(bytes => new Uint8Array(bytes)), type: 'BYTE_ARRAY' },
      { name: 'label', data: samples.map(({ label }) => BigInt(label)), type: 'INT64' },
    ]
    const features = {
      image: { _type: 'Image' },
      label: { names: [...dataset.classes], _type: 'ClassLabel' },
    }
    const kvMetadata = [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }]
    const file = parquetWriteBuffer({ columnData, kvMetadata, rowGroupSize: 5 })
    await writeFile(join(folder, `${split}-00000-of-00001.parquet`), Buffer.from(file))
  }
}

/** Writes a CSV file in the data set's folder, with relative paths. */
export function csvOf(dataset: Dataset, folder: string): string {
  const rows = [...allSamples(dataset)].map(
    ({ path, name, split }) => `${relative(folder, path)},${name},${split}`,
  )
  return ['path,label,split', ...rows, ''].join('\n')
}
