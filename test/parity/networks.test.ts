import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type NativeModel, native } from '../../lib/native/native.js'
import { fixture, skipIfLarge, skipIfUnknown } from '../support/networks.js'

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

  const known = native()
    .families()
    .flatMap(({ architectures }) => architectures)

  for (const architecture of known) {
    const { sha256, parameters, seed, initial, published } = fixture.structure[architecture]!

    it(`${architecture} has the names, shapes and order of its state dict`, async () => {
      const model = await native().createModel(architecture, 10, null, {})
      assert.equal(model.parameterCount, parameters)
      const lines = model.entries().map(({ name, shape, dtype }) => `${name} [${shape.join(', ')}] ${dtype}`)
      assert.equal(createHash('sha256').update(lines.join('\n')).digest('hex'), sha256)
      model.dispose()
    })

    it(`${architecture} starts from the same weights, bit for bit`, async function () {
      skipIfLarge(this, architecture)
      skipIfUnknown(this, initial)
      const model = await native().createModel(architecture, 10, seed, {})
      assert.equal(await contents(model), initial)
      model.dispose()
    })

    it(`${architecture} has the multiply-adds that torchvision publishes`, async () => {
      // GoogLeNet's official weights are used without auxiliary heads.
      const options = architecture === 'googlenet' ? { auxLogits: false } : {}
      const model = await native().createModel(architecture, 1000, null, options)
      const layers = model.summary(published.inputSize, published.inputSize)
      const total = (key: 'parameters' | 'multiplyAdds') => layers.reduce((sum, layer) => sum + layer[key], 0)
      assert.equal(total('parameters'), published.parameters)
      assert.equal((total('multiplyAdds') / 1e9).toFixed(3), published.multiplyAdds.toFixed(3))
      model.dispose()
    })
  }

  for (const { architecture, numClasses, seed, options, sha256 } of fixture.initial) {
    const shown = Object.keys(options).length === 0 ? '' : ` ${JSON.stringify(options)}`
    it(`${architecture}${shown} with seed ${seed} starts from the same weights, bit for bit`, async function () {
      skipIfUnknown(this, process.arch === 'arm64' ? null : sha256)
      const model = await native().createModel(architecture, numClasses, seed, options)
      assert.equal(await contents(model), sha256)
      model.dispose()
    })
  }
})
