import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { preprocess } from '../../lib/image/preprocess.js'
import type { Preprocessing } from '../../lib/image/preprocessing.js'
import type { Architecture } from '../../lib/model/architectures.js'
import { createModel } from '../../lib/model/create-model.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

describe('inputs that are not square, against torchvision', () => {
  before(function () {
    if (python === undefined) skip(this, NO_PYTHON)
    this.timeout(120_000)
  })
  after(removeTemporaryFolders)

  it('resizes, crops and pads to the same bytes', async () => {
    const folder = await temporaryFolder()
    // Pillow 13 resizes all of these from left to right first, as earlier versions do: see docs/images.md.
    const sizes = ['96x64', '500x375', '333x250', '250x333', '101x62', '640x97', '30x20', '97x65']
    for (const size of sizes) {
      const [width, height] = size.split('x').map(Number) as [number, number]
      const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37 + ((i * i) >> 9)) & 255)
      const image = sharp(data, { raw: { width, height, channels: 3 } })
      await image.png().toFile(join(folder, `${size}.png`))
    }
    const fill: [number, number, number] = [10, 120, 200]
    const crop: [number, number] = [64, 96]
    const settings: (Pick<Preprocessing, 'mode' | 'resize'> & { crop: [number, number] })[] = [
      { mode: 'crop', resize: 110, crop },
      { mode: 'crop', resize: [73, 110], crop },
      { mode: 'crop', resize: [129, 64], crop: [97, 33] },
      { mode: 'crop', resize: [73, 110], crop: [64, 64] },
      ...(['pad', 'letterbox', 'squish'] as const).flatMap(mode =>
        ([crop, [97, 33]] as const).map(crop => ({ mode, resize: 1, crop: [...crop] as [number, number] })),
      ),
    ]
    const expected = JSON.parse(
      runReference('input_sizes.py', folder, JSON.stringify(settings.map(each => ({ ...each, fill })))),
    ) as Record<string, string[]>
    assert.equal(Object.keys(expected).length, sizes.length)
    for (const [name, digests] of Object.entries(expected)) {
      for (const [i, setting] of settings.entries()) {
        const { data, width, height } = await preprocess(join(folder, name), { ...setting, fill })
        assert.deepEqual([height, width], setting.crop)
        const digest = createHash('sha256').update(data).digest('hex')
        assert.equal(digest, digests[i], `${name}, ${JSON.stringify(setting)}`)
      }
    }
  })

  // Swin Transformer pads both sides to its windows, and shifts along one of them only: 33 pixels are a single window.
  const networks: Architecture[] = ['mobilenet_v3_small', 'swin_t']
  it(`${networks.join(', ')} compute the same logits`, async function () {
    this.timeout(120_000)
    const folder = await temporaryFolder()
    const sizes = ['64x112', '129x40']
    const expected = JSON.parse(runReference('outputs.py', folder, sizes.join(','), ...networks)) as Record<
      string,
      Record<string, { logits: number[]; deviation: number }>
    >
    for (const architecture of networks) {
      const weights = join(folder, `${architecture}.pth`)
      using model = await createModel(architecture, { weights, numClasses: 10, device: 'cpu' })
      for (const size of sizes) {
        const crop = size.split('x').map(Number) as [number, number]
        const { logits, deviation } = expected[architecture]![size]!
        model.preprocessing = { ...model.preprocessing, resize: crop, crop }
        const batch = model.createBatch(logits.length / 10)
        const { buffer, byteOffset, byteLength } = await readFile(join(folder, `${size}.f32`))
        batch.setTensor(new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength)))
        const ours = await model.network.forward(batch, logits.length / 10, 'logits')
        const largest = Math.max(...logits.map(Math.abs))
        const distance = Math.max(...logits.map((value, i) => Math.abs(value - ours[i]!)))
        assert.ok(
          distance <= Math.max(1e-5, 4 * deviation) * largest,
          `${architecture}, ${size}: ${distance}`,
        )
      }
    }
  })
})
