import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createModel } from '../../../lib/model/create-model.js'
import type { Model } from '../../../lib/model/model.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { tinyModel } from '../../support/tiny-model.js'

describe('model.export', () => {
  let model: Model
  let folder: string
  before(async () => {
    model = await tinyModel()
  })
  beforeEach(async () => {
    folder = await temporaryFolder()
  })
  after(() => model.dispose())
  afterEach(removeTemporaryFolders)

  const wrong: [string, object | undefined, RegExp][] = [
    ['an unsupported opset', { opset: 12 }, /^opset: expected an integer from 17 to 22, got 12$/],
    ['a newer opset', { opset: 99 }, /^opset: expected an integer from 17 to 22, got 99$/],
    [
      'an opset that is not a number',
      { opset: '18' },
      /^opset: expected an integer from 17 to 22, got '18'$/,
    ],
    ['dynamicBatch', { dynamicBatch: 1 }, /^dynamicBatch: expected true or false, got 1$/],
    ['softmax', { softmax: 'yes' }, /^softmax: expected true or false, got 'yes'$/],
    ['a format', { format: 'tflite' }, /^format: expected one of onnx, transformers, got 'tflite'$/],
    ['includePreprocessing', { includePreprocessing: 1 }, /^includePreprocessing: expected true or false/],
    [
      'softmax of a folder for transformers.js',
      { format: 'transformers', softmax: true },
      /^softmax: expected false for format: 'transformers'/,
    ],
    [
      'a folder for transformers.js that does not resize',
      { format: 'transformers', includePreprocessing: false },
      /^includePreprocessing: expected true for format: 'transformers'/,
    ],
    [
      'calibration of a single file',
      { calibration: 'photos' },
      /^calibration: expected format: 'transformers' with it\. For one ONNX file, export the model/,
    ],
    ['externalData', { externalData: null }, /^externalData: expected true or false, got null$/],
    [
      'an unknown option',
      { dynamicbatch: true },
      /unknown option 'dynamicbatch'. Did you mean 'dynamicBatch'\?$/,
    ],
  ]
  for (const [title, options, message] of wrong) {
    it(`refuses ${title}`, async () => {
      await assert.rejects(model.export(join(folder, 'm.onnx'), options), {
        code: 'ERR_INVALID_ARGUMENT',
        message,
      })
      assert.deepEqual(await readdir(folder), [])
    })
  }

  it('refuses an invalid path', async () => {
    for (const path of ['', 3, undefined])
      await assert.rejects(model.export(path as string), {
        code: 'ERR_INVALID_ARGUMENT',
        message: /^path: expected a non-empty string/,
      })
  })

  it('refuses a model that was disposed of', async () => {
    const disposed = await tinyModel()
    disposed.dispose()
    await assert.rejects(disposed.export(join(folder, 'm.onnx')), { code: 'ERR_DISPOSED' })
  })

  it('refuses an untrained classifier, unless allowUntrained is set', async () => {
    await model.save(join(folder, 'm.pth'))
    using untrained = await createModel('mobilenet_v2', {
      ...{ weights: join(folder, 'm.pth'), classes: ['a', 'b'], device: 'cpu' },
      ...{ widthMult: 0.25, invertedResidualSetting: model.networkOptions.invertedResidualSetting! },
    })
    const path = join(folder, 'm.onnx')
    await assert.rejects(untrained.export(path), { code: 'ERR_UNTRAINED' })
    await untrained.export(path, { allowUntrained: true })
    assert.ok((await readFile(path)).length > 10_000)
  })

  it('refuses probabilities of a single output, but exports its logits', async () => {
    using single = await tinyModel({ classes: ['age'] })
    const path = join(folder, 'm.onnx')
    await assert.rejects(single.export(path, { softmax: true }), { code: 'ERR_INVALID_ARGUMENT' })
    await single.export(path)
  })

  it('says why a file cannot be written, and leaves nothing behind', async () => {
    await mkdir(join(folder, 'm.onnx_data'))
    for (const [path, options] of [
      [join(folder, 'none/m.onnx'), {}],
      [folder, {}],
      [join(folder, 'm.onnx'), { externalData: true }],
    ] as const)
      await assert.rejects(model.export(path, options), { code: 'ERR_FILE_WRITE', message: /^cannot write / })
    assert.deepEqual(await readdir(folder), ['m.onnx_data'])
  })

  it('writes the files that transformers.js reads', async () => {
    const path = join(folder, 'made/m')
    await model.export(path, { format: 'transformers' })
    assert.deepEqual((await readdir(path)).sort(), ['config.json', 'onnx', 'preprocessor_config.json'])
    assert.deepEqual(await readdir(join(path, 'onnx')), ['model.onnx'])
    const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8'))
    assert.deepEqual(config.id2label, { 0: 'ant', 1: 'bee', 2: 'cow' })
    assert.deepEqual(config.label2id, { ant: 0, bee: 1, cow: 2 })
    await writeFile(join(folder, 'file'), '')
    await assert.rejects(model.export(join(folder, 'file/m'), { format: 'transformers' }), {
      code: 'ERR_FILE_WRITE',
      message: /part of the path is a file/,
    })
  })

  it('replaces an older file', async () => {
    const path = join(folder, 'm.onnx')
    await writeFile(path, 'old')
    await model.export(path)
    const first = await readFile(path)
    await model.export(path)
    assert.deepEqual(await readFile(path), first)
    assert.deepEqual(await readdir(folder), ['m.onnx'])
  })
})
