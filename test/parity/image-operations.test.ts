import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rotate, shearX, shearY, translate } from '../../lib/image/affine.js'
import { IMAGENET_POLICIES, type Policy, policySpaces } from '../../lib/image/policy.js'
import { DEFAULT_PREPROCESSING } from '../../lib/image/preprocessing.js'
import type { Size } from '../../lib/image/size.js'
import { type ImageBatch, native, type Pixels } from '../../lib/native/native.js'
import type { Operation, Rect } from '../../lib/native/operation.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

/** A geometric operation by torchvision's name and magnitude; lib/image/affine.ts makes its matrix. */
interface Named {
  op?: undefined
  filter: 'nearest' | 'bilinear'
  rotate?: number
  ShearX?: number
  ShearY?: number
  TranslateX?: number
  TranslateY?: number
}

interface Case {
  name: string
  image: string
  operations: (Operation | Named)[]
  size: [number, number]
  sha256: string
}

interface Fixtures {
  versions: { torchvision: string; pillow: string }
  policies: Record<Policy, { space: Record<string, [magnitudes: number[] | null, signed: boolean]> }> & {
    autoaugment: { policies: unknown }
  }
  batches: {
    normalized: string
    mixup: { weight: number; sha256: string }
    cutmix: { box: Rect; sha256: string }
  }
  cases: Case[]
}

const fixtures = readFileSync(new URL('../fixtures/image-operations.json', import.meta.url), 'utf8')
const { versions, policies, batches, cases } = JSON.parse(fixtures) as Fixtures

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

/** The images of test/reference/image_operations.py. */
function makeImage(name: string): Pixels {
  const [width, height] = (name === 'flat' ? '64x48' : name).split('x').map(Number) as [number, number]
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < data.length; i++) {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    const slope = (x * 5 * (c + 1) + y * 3) >> 1
    const edge = ((x >> 3) + (y >> 2) + c) % 3 === 0 ? 90 : 0
    const noise = (x * 7919 + y * 104729 + c * 1299709) % 61
    data[i] = name === 'flat' ? [200, 100, 100][c]! : slope + edge + noise
  }
  return { data, width, height, channels: 3 }
}

function toOperation(named: Operation | Named, size: Size): Operation {
  if (named.op === 'mix') {
    const chains = named.chains.map(({ weight, operations }) => ({
      weight,
      operations: operations.map(operation => toOperation(operation, size)),
    }))
    return { ...named, chains }
  }
  if (named.op !== undefined) return named
  if (named.rotate !== undefined) return rotate(named.rotate, size, named.filter)
  if (named.ShearX !== undefined) return shearX(named.ShearX, named.filter)
  if (named.ShearY !== undefined) return shearY(named.ShearY, named.filter)
  return translate(named.TranslateX ?? 0, named.TranslateY ?? 0, named.filter)
}

describe(`image operations, against torchvision ${versions.torchvision} on Pillow ${versions.pillow}`, () => {
  it(`are compared with Python's present results`, function () {
    if (!python) skip(this, NO_PYTHON)
    assert.equal(runReference('image_operations.py'), fixtures)
  })

  for (const { name, image, operations, size, ...expected } of cases) {
    it(`${name} (${image}) gives the same bytes`, async () => {
      const pixels = makeImage(image)
      const transform = operations.map(operation => toOperation(operation, pixels))
      const { data, width, height } = await native().transformPixels(pixels, transform)
      assert.deepEqual([width, height], size)
      assert.equal(sha256(data), expected.sha256)
    })
  }
})

describe(`a batch of images, against torchvision ${versions.torchvision}`, () => {
  const { mean, std } = DEFAULT_PREPROCESSING
  const bytes = (batch: ImageBatch) => new Uint8Array(batch.getTensor(3).buffer)
  const makeBatch = async () => {
    const batch = new (native().ImageBatch)(4, 48, 64, mean, std)
    const transforms: Operation[][] = [[], [{ op: 'horizontalFlip' }], [{ op: 'contrast', amount: 1.37 }]]
    await Promise.all(transforms.map((transform, i) => batch.set(i, makeImage('64x48'), transform)))
    return batch
  }

  it('is normalised to the same values', async () => {
    assert.equal(sha256(bytes(await makeBatch())), batches.normalized)
  })

  it('is blended by mixup to the same values', async () => {
    const batch = await makeBatch()
    await batch.mix(3, batches.mixup.weight, null)
    assert.equal(sha256(bytes(batch)), batches.mixup.sha256)
  })

  it('gets the same part of the same neighbour from CutMix', async () => {
    const batch = await makeBatch()
    await batch.mix(3, 0.5, batches.cutmix.box)
    assert.equal(sha256(bytes(batch)), batches.cutmix.sha256)
  })
})

describe(`augmentation policies, against torchvision ${versions.torchvision}`, () => {
  for (const [policy, { space }] of Object.entries(policies) as [Policy, Fixtures['policies'][Policy]][]) {
    it(`${policy} has the same operations with the same magnitudes`, () => {
      const ours = Object.entries(policySpaces[policy]({ width: 224, height: 160 })).map(([name, range]) => [
        name,
        range ? [range.magnitudes, range.signed] : [null, false],
      ])
      // torchvision's AutoAugment has no Identity; its policies name none either.
      const named = ours.filter(([name]) => policy !== 'autoaugment' || name !== 'Identity')
      assert.deepEqual(Object.fromEntries(named), space)
    })
  }

  it('autoaugment has the policies of ImageNet', () => {
    assert.deepEqual(IMAGENET_POLICIES, policies.autoaugment.policies)
  })
})
