import assert from 'node:assert/strict'
import { listArchitectures } from '../../../lib/model/architectures.js'
import {
  fileName,
  findWeights,
  fullName,
  imagenetClasses,
  listWeights,
  resolveWeights,
  usualPreprocessing,
} from '../../../lib/weights/manifest.js'

describe('the official weights', () => {
  it('exist for every architecture, with one DEFAULT each', () => {
    for (const architecture of listArchitectures()) {
      const defaults = listWeights(architecture).filter(entry => entry.default)
      assert.equal(defaults.length, 1, architecture)
    }
  })

  it('have a hash that matches their file name, and sizes that agree', () => {
    for (const entry of listWeights()) {
      const digits = /-([0-9a-f]{8,10})\.pth$/.exec(entry.url)![1]!
      assert.ok(entry.sha256.startsWith(digits), entry.url)
      assert.ok(entry.sha256 === digits || entry.sha256.length === 64)
      if (entry.bytes !== null)
        assert.ok(Math.abs(entry.bytes / 2 ** 20 - entry.mebibytes!) < 0.001, entry.url)
    }
  })

  it("have torchvision's figures and preprocessing", () => {
    const { accuracy, preprocessing, parameterCount, container } = resolveWeights('resnet50', 'DEFAULT')
    assert.deepEqual(
      { accuracy, preprocessing, parameterCount, container },
      {
        accuracy: { top1: 80.858, top5: 95.434 },
        preprocessing: {
          resize: 232,
          crop: 224,
          interpolation: 'bilinear',
          mean: [0.485, 0.456, 0.406],
          std: [0.229, 0.224, 0.225],
        },
        parameterCount: 25557032,
        container: 'zip',
      },
    )
    assert.equal(resolveWeights('vgg16', 'imagenet1k_v1').accuracy?.top1, 71.592)
    assert.equal(resolveWeights('mobilenet_v2', 'IMAGENET1K_V1').preprocessing.resize, 256)
    const efficientnet = resolveWeights('efficientnet_b3', 'DEFAULT').preprocessing
    assert.deepEqual(
      [efficientnet.resize, efficientnet.crop, efficientnet.interpolation],
      [320, 300, 'bicubic'],
    )
    assert.deepEqual(resolveWeights('efficientnet_v2_l', 'DEFAULT').preprocessing.mean, [0.5, 0.5, 0.5])
  })

  it("have the options of torchvision's functions, and their licence", () => {
    assert.deepEqual(resolveWeights('inception_v3', 'DEFAULT').networkOptions, { transformInput: true })
    assert.deepEqual(resolveWeights('vit_b_16', 'IMAGENET1K_SWAG_E2E_V1').networkOptions, { imageSize: 384 })
    assert.match(resolveWeights('regnet_y_16gf', 'IMAGENET1K_SWAG_LINEAR_V1').license!, /^https:/)
    assert.equal(resolveWeights('resnet50', 'DEFAULT').license, null)
  })

  it('are found by network, by full name and by file', () => {
    assert.equal(fullName(findWeights('resnet50')), 'resnet50.IMAGENET1K_V2')
    assert.equal(fileName(findWeights('resnet50.IMAGENET1K_V1')), 'resnet50-0676ba61.pth')
    assert.equal(findWeights('resnet50-19c8e357.pth').container, 'tar')
    assert.equal(fullName(findWeights('vgg11-bbd30ac9.pth')), 'vgg11.IMAGENET1K_V1_OLDER')
    assert.equal(fullName(findWeights('mobilenetv2')), 'mobilenet_v2.IMAGENET1K_V2')
    assert.equal(fullName(findWeights('swin_transformer_tiny')), 'swin_t.IMAGENET1K_V1')
  })

  it('say how images are preprocessed for weights of other origin', () => {
    assert.equal(usualPreprocessing('resnet50')!.resize, 256)
    assert.equal(usualPreprocessing('inception_v3')!.crop, 299)
    assert.equal(usualPreprocessing('vit_h_14')!.crop, 224)
    assert.equal(usualPreprocessing('resnet'), undefined)
  })

  it('are refused under a wrong name, with the nearest', () => {
    assert.throws(() => findWeights('resnet5'), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /Did you mean 'resnet50'\?/,
    })
    assert.throws(() => findWeights('vgg16.IMAGENET1K_V2'), /Did you mean 'IMAGENET1K_V1'\?/)
    assert.throws(() => resolveWeights('resnet', 'DEFAULT'), /architecture: expected one of/)
  })

  it("come with ImageNet's 1000 classes", () => {
    const classes = imagenetClasses()
    assert.equal(classes.length, 1000)
    assert.deepEqual([classes[0], classes[207], classes[999]], ['tench', 'golden retriever', 'toilet tissue'])
  })
})
