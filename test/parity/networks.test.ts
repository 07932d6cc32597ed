import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type NativeModel, type NetworkOptions, native } from '../../lib/native/native.js'

interface Fixture {
  structure: Record<string, { sha256: string; parameters: number }>
  initial: {
    architecture: string
    numClasses: number
    seed: number
    options: NetworkOptions
    sha256: string
  }[]
}
const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../fixtures/networks.json', import.meta.url), 'utf8'),
)

/** SHA-256 of all tensors, one after another, as test/reference/networks.py computes it. */
async function contents(model: NativeModel): Promise<string> {
  const digest = createHash('sha256')
  for (const { data } of (await model.stateDict()).values()) {
    digest.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  return digest.digest('hex')
}

describe('the networks, against torchvision', function () {
  this.timeout(120_000)

  it('are the same architectures', () => {
    assert.deepEqual(
      native()
        .families()
        .flatMap(({ architectures }) => architectures)
        .sort(),
      Object.keys(fixture.structure).sort(),
    )
  })

  for (const [architecture, { sha256, parameters }] of Object.entries(fixture.structure)) {
    it(`${architecture} has the names, shapes and order of its state dict`, async () => {
      const model = await native().createModel(architecture, 1000, null, {})
      assert.equal(model.parameterCount, parameters)
      const lines = model.entries().map(({ name, shape, dtype }) => `${name} [${shape.join(', ')}] ${dtype}`)
      assert.equal(createHash('sha256').update(lines.join('\n')).digest('hex'), sha256)
      model.dispose()
    })
  }

  for (const { architecture, numClasses, seed, options, sha256 } of fixture.initial) {
    const shown = Object.keys(options).length === 0 ? '' : ` ${JSON.stringify(options)}`
    it(`${architecture}${shown} with seed ${seed} starts from the same weights, bit for bit`, async () => {
      const model = await native().createModel(architecture, numClasses, seed, options)
      assert.equal(await contents(model), sha256)
      model.dispose()
    })
  }

  it('cost what torchvision says: multiply-adds of one image of 224 x 224', async () => {
    const billions: Record<string, number> = { resnet50: 4.09, mobilenet_v2: 0.3, vgg16: 15.47 }
    for (const [architecture, expected] of Object.entries(billions)) {
      const model = await native().createModel(architecture, 1000, null, {})
      const total = model.summary(224).reduce((sum, layer) => sum + layer.multiplyAdds, 0)
      assert.equal(Math.round(total / 1e7) / 100, expected)
      model.dispose()
    }
  })
})
