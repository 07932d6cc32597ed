import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { INTERPOLATIONS, RESIZE_MODES } from '../../lib/image/preprocessing.js'
import { writeCheckpoint } from '../../lib/model/checkpoint.js'
import type { Model } from '../../lib/model/model.js'
import type { Prediction } from '../../lib/predict/predict.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { skip } from '../support/skip.js'
import { tinyModel } from '../support/tiny-model.js'

const SHARPNESS = 300
const packages = process.env.VISIONTORCH_TEST_TRANSFORMERS

describe('a folder for transformers.js, loaded by it', function () {
  this.timeout(300_000)
  let folder: string
  let images: string[]
  let model: Model
  before(async function () {
    if (!packages)
      skip(this, 'VISIONTORCH_TEST_TRANSFORMERS names no folder (npm run reference:transformers)')
    folder = await temporaryFolder()
    const sizes = [
      [61, 47],
      [40, 90],
      [200, 150],
      [32, 32],
      [20, 11],
    ] as const
    images = await Promise.all(
      sizes.map(async ([width, height], i) => {
        const path = join(folder, `${width}.png`)
        // Smooth shapes with some noise, like photographs.
        const data = Uint8Array.from({ length: width * height * 3 }, (_, at) => {
          const [x, y, channel] = [Math.floor(at / 3) % width, Math.floor(at / 3 / width), at % 3]
          const wave = Math.sin(((x + 3 * i) * (channel + 2)) / 9) + Math.cos((y * (i + 1)) / 7)
          return 128 + 50 * wave + ((at * 7919) % 17)
        })
        await sharp(data, { raw: { width, height, channels: 3 } })
          .png()
          .toFile(path)
        return path
      }),
    )
    model = await tinyModel({ seed: 5 })
    // A random classifier finds all classes about equally probable; this one is decisive.
    const weights = await model.stateDict()
    const { data } = weights.get('classifier.1.weight')!
    data.forEach((value, i) => {
      data[i] = Number(value) * SHARPNESS
    })
    await writeCheckpoint(join(folder, 'sharp.pth'), weights)
    await model.loadStateDict(join(folder, 'sharp.pth'))
  })
  after(async () => {
    model?.dispose()
    await removeTemporaryFolders()
  })

  function theirs(of: string, dtype = ''): Prediction[][] {
    const child = join(import.meta.dirname, '../support/transformers-child.mjs')
    const { status, stdout, stderr } = spawnSync(process.execPath, [child, packages!, of, dtype, ...images], {
      encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    assert.equal(stderr, '')
    return JSON.parse(stdout)
  }

  for (const mode of RESIZE_MODES) {
    for (const interpolation of INTERPOLATIONS) {
      it(`${mode}, ${interpolation}: our labels, and our scores within 1e-3`, async () => {
        model.preprocessing = { ...model.preprocessing, mode, interpolation }
        const path = join(folder, `${mode}-${interpolation}`)
        await model.export(path, { format: 'transformers' })
        const expected = await model.predict(images, { topK: 3 })
        theirs(path).forEach((predictions, i) => {
          assert.deepEqual(
            predictions.map(({ label }) => label),
            expected[i]!.map(({ label }) => label),
          )
          predictions.forEach(({ score }, k) => {
            assert.ok(Math.abs(score - expected[i]![k]!.score) <= 1e-3, `${score}`)
          })
        })
      })
    }
  }

  it('calibration: q8 gives the labels and scores of the quantised model', async () => {
    const path = join(folder, 'calibrated')
    await model.export(path, { format: 'transformers', calibration: images })
    using quantized = await model.quantize(images)
    const alone = join(folder, 'quantized')
    await quantized.export(alone, { format: 'transformers' })
    assert.deepEqual(await readdir(join(alone, 'onnx')), ['model_quantized.onnx'])
    const expected = await quantized.predict(images, { topK: 3 })
    for (const predictions of [theirs(path, 'q8'), theirs(alone)]) {
      predictions.forEach((of, i) => {
        assert.equal(of[0]!.label, expected[i]![0]!.label)
        for (const { label, score } of of) {
          const ours = expected[i]!.find(each => each.label === label)!
          assert.ok(Math.abs(score - ours.score) <= 0.005, `${label}: ${score} instead of ${ours.score}`)
        }
      })
    }
    const [float] = await model.predict(images.slice(0, 1), { topK: 3 })
    const [[top]] = [theirs(path)[0]!]
    assert.ok(Math.abs(top!.score - float![0]!.score) <= 1e-3) // fp32 is still the default
  })

  it('also works with externalData: true', async () => {
    const path = join(folder, 'external')
    await model.export(path, { format: 'transformers', externalData: true })
    assert.ok((await readFile(join(path, 'onnx/model.onnx_data'))).length > 10_000)
    const expected = await model.predict(images, { topK: 1 })
    assert.deepEqual(
      theirs(path).map(([top]) => top!.label),
      expected.map(([top]) => top!.label),
    )
  })
})
