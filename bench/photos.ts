// Stand-ins for photographs, in the cache: smooth noise, which JPEG compresses about as well as a photograph.
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { note } from '../lib/cli/terminal.js'
import { folder } from './paths.js'

const classes = 10

/** Makes a folder with `train/<class>/<n>.jpg`, `count` images in total, and one image per class in `val`. */
export async function photoFolder(width: number, height: number, count: number) {
  const data = join(folder, `photos-${width}x${height}-${count}`)
  const names = Array.from({ length: count }, (_, i) => join('train', `${i % classes}`, `${i}.jpg`))
  if (!existsSync(data)) {
    note(`drawing ${count} images of ${width} x ${height}`)
    const unfinished = `${data}.tmp`
    await rm(unfinished, { recursive: true, force: true })
    const validation = Array.from({ length: classes }, (_, i) => join('val', `${i}`, 'v.jpg'))
    for (const name of [...names, ...validation]) await drawPhoto(join(unfinished, name), width, height)
    await rename(unfinished, data)
  }
  return { data, photos: names.map(name => join(data, name)) }
}

async function drawPhoto(path: string, width: number, height: number): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true })
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const
  const [coarseWidth, coarseHeight] = [Math.ceil(width / 4), Math.ceil(height / 4)]
  const create = {
    width: coarseWidth,
    height: coarseHeight,
    channels: 3,
    background: 'black',
    noise,
  } as const
  await sharp({ create }).resize(width, height, { fit: 'fill' }).jpeg({ quality: 90 }).toFile(path)
}
