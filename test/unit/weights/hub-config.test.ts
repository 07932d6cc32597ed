import assert from 'node:assert/strict'
import { DEFAULT_PREPROCESSING } from '../../../lib/image/preprocessing.js'
import { listArchitectures } from '../../../lib/model/architectures.js'
import { readHubConfig } from '../../../lib/weights/hub-config.js'
import { imagenetClasses } from '../../../lib/weights/manifest.js'
import { fromTimm } from '../../../lib/weights/timm.js'

const read = (config: unknown) => readHubConfig('hf:a/b', JSON.stringify(config))
const timm = (pretrained_cfg: object = {}, rest: object = {}) =>
  read({ architecture: 'resnet50', num_classes: 1000, pretrained_cfg, ...rest })
const cfg = {
  input_size: [3, 224, 224],
  interpolation: 'bicubic',
  crop_pct: 0.95,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
}

describe('the config.json of a repository on the Hub', () => {
  it("names timm's network, and describes the preprocessing", () => {
    const { architecture, preprocessing } = timm(cfg)
    assert.equal(architecture, 'resnet50')
    assert.deepEqual(preprocessing, {
      ...DEFAULT_PREPROCESSING,
      resize: 235, // floor(224 / 0.95)
      crop: 224,
      interpolation: 'bicubic',
      mean: cfg.mean,
      std: cfg.std,
    })
    const squash = { ...cfg, crop_mode: 'squash' }
    assert.deepEqual(timm(squash).preprocessing!.resize, [235, 235]) // Resize((235, 235)), CenterCrop(224)
    const wide = timm({ ...squash, input_size: [3, 224, 448] }).preprocessing!
    assert.deepEqual(
      [wide.resize, wide.crop],
      [
        [235, 471],
        [224, 448],
      ],
    )
    assert.equal(timm({ ...cfg, crop_pct: 1 }).preprocessing!.resize, 224)
    assert.equal(timm().preprocessing, undefined)
    const { architecture: small, networkOptions } = read({ architecture: 'mobilenetv3_small_100' })
    assert.deepEqual([small, networkOptions], ['mobilenet_v3_small', { batchNormEps: 1e-5 }])
  })

  it('names the classes: label_names, id2label, or ImageNet for a thousand classes', () => {
    assert.deepEqual(timm(cfg).classes, imagenetClasses())
    assert.deepEqual(timm(cfg, { num_classes: 2, label_names: ['b', 'a'] }).classes, ['b', 'a'])
    assert.deepEqual(timm(cfg, { num_classes: 2, id2label: { 1: 'b', 0: 'a' } }).classes, ['a', 'b'])
    assert.deepEqual(read({ id2label: { 0: 'x', 1: 'y' } }).classes, ['x', 'y'])
    for (const rest of [
      { num_classes: 3, label_names: ['a', 'b'] },
      { num_classes: 2, label_names: ['a', 'a'] },
      { num_classes: 2, label_names: ['a', 1] },
      { num_classes: 2, id2label: { 0: 'a', 5: 'b' } },
      { num_classes: 21841 },
    ])
      assert.equal(timm(cfg, rest).classes, undefined)
  })

  it('is refused if visiontorch does not have the network', () => {
    const refused = (config: unknown, message: RegExp) =>
      assert.throws(() => read(config), { code: 'ERR_CHECKPOINT_UNSUPPORTED', message })
    refused({ architecture: 'eva02_large_patch14_448' }, /hf:a\/b: it holds timm's eva02_large_patch14_448/)
    refused({ architecture: 'tf_efficientnetv2_s' }, /tf_efficientnetv2_s/)
    refused({ architecture: '__proto__' }, /__proto__/)
    refused({ architecture: 'x\u001b[31m' }, /x\\u\{1b\}\[31m/)
    refused(
      { architectures: ['SwinForImageClassification'] },
      /names of transformers' SwinForImageClassification/,
    )
  })

  it('is refused if it contradicts itself', () => {
    const wrong = (value: object, message: RegExp) =>
      assert.throws(() => timm({ ...cfg, ...value }), { code: 'ERR_CHECKPOINT_MISMATCH', message })
    wrong({ input_size: [3, 224, 256] }, /input_size of \[3, height, width\], which is square unless/)
    wrong({ input_size: 'x' }, /input_size/)
    wrong({ input_size: [3, 1e9, 1e9] }, /crop/)
    wrong({ crop_pct: 0 }, /crop_pct/)
    wrong({ crop_pct: 'x' }, /crop_pct/)
    wrong({ interpolation: 'lanczos' }, /interpolation/)
    wrong({ mean: [0, 0] }, /mean/)
    wrong({ crop_mode: 'border' }, /crop_mode 'border'/)
    for (const text of ['', '[]', 'null', '{', '"x"'])
      assert.throws(() => readHubConfig('hf:a/b', text), {
        code: 'ERR_CHECKPOINT_MISMATCH',
        message: /not a JSON object/,
      })
  })

  it("knows timm's names only for networks of visiontorch", () => {
    const names = new Set<string>(listArchitectures())
    for (const name of ['resnet50.a1_in1k', 'vit_base_patch16_384', 'regnety_080_tv', 'mobilenetv2_100'])
      assert.ok(names.has(fromTimm(name)!.architecture), name)
    for (const name of [
      'regnety_008',
      'swinv2_tiny_window16_256',
      'maxvit_tiny_tf_224',
      'tf_mobilenetv3_small_100',
      'constructor',
      '',
    ])
      assert.equal(fromTimm(name), undefined)
  })
})
