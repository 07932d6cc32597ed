import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { decode } from '../../lib/image/decode.js'
import { evalTransform } from '../../lib/image/transform.js'
import { createHandler, type Model, predict, toNodeListener } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python } from '../support/python.js'
import { closeServers, listen, picture } from '../support/serving.js'
import { skip } from '../support/skip.js'
import { onOneThread } from '../support/small-network.js'
import { tinyModel } from '../support/tiny-model.js'

interface Answers {
  live: boolean
  ready: boolean
  model_ready: boolean
  unknown_ready: boolean
  server: { name: string; extensions: string[] }
  model: { inputs: object[]; outputs: object[]; versions: string[] }
  index: object[]
  response: object
  binary: number[][][]
  text: number[][][]
  images: number[][][]
  classes: string[][]
  errors: Record<string, [string, string]>
}

describe("Triton's HTTP client", function () {
  this.timeout(120_000)
  onOneThread()
  let model: Model
  let image: Buffer
  let answers: Answers
  before(async function () {
    if (python === undefined) skip(this, NO_PYTHON)
    const folder = await temporaryFolder()
    model = await tinyModel()
    image = await picture(1)
    await writeFile(join(folder, 'image.png'), image)
    await writeFile(join(folder, 'tensor'), await networkInput(model, image))
    const { host } = new URL(await listen(toNodeListener(createHandler({ tiny: model }))))
    const script = join(import.meta.dirname, '../reference/triton_client.py')
    const child = spawn(python, [script, host, 'tiny', join(folder, 'image.png'), join(folder, 'tensor')])
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
    assert.match(stdout, /^\{/, stderr)
    answers = JSON.parse(stdout)
  })
  after(async () => {
    await closeServers()
    await removeTemporaryFolders()
  })

  /** Returns the network's input for an image. */
  async function networkInput(model: Model, file: Buffer): Promise<Float32Array> {
    const pixels = await decode(file)
    const batch = model.createBatch(1)
    await batch.set(0, pixels, evalTransform(model.preprocessing, pixels))
    return batch.getTensor(1)
  }

  it('sees that the server and its model are ready, and gets their metadata', () => {
    const { live, ready, model_ready, unknown_ready, server, model, index } = answers
    assert.deepEqual([live, ready, model_ready, unknown_ready], [true, true, true, false])
    assert.equal(server.name, 'visiontorch')
    assert.ok(server.extensions.includes('binary_tensor_data'))
    assert.deepEqual(model.inputs[0], { name: 'input', datatype: 'FP32', shape: [-1, 3, 32, 32] })
    assert.deepEqual(model.outputs[0], { name: 'logits', datatype: 'FP32', shape: [-1, 3] })
    assert.deepEqual(index, [{ name: 'tiny', version: '1', state: 'READY', reason: '' }])
  })

  it("gets predict()'s probabilities from tensors and from files, in binary and in JSON", async () => {
    const expected = (await predict(model, image))
      .toSorted((a, b) => a.index - b.index)
      .map(({ score }) => score)
    const { binary, text, images, response } = answers
    assert.deepEqual(response, { model_name: 'tiny', model_version: '1', id: '7' })
    for (const [logits, probabilities] of [binary, text, images]) {
      assert.equal(logits!.length, probabilities!.length)
      for (const row of probabilities!)
        for (const [i, value] of row.entries())
          assert.ok(Math.abs(value - expected[i]!) < 1e-6, `${value} ${expected[i]}`)
      for (const row of logits!) assert.deepEqual(row.length, 3)
    }
    assert.deepEqual(text, binary)
    assert.equal(images[0]!.length, 2)
  })

  it('gets the most probable classes by name', async () => {
    const [first] = await predict(model, image)
    const [score, index, label] = answers.classes[0]![0]!.split(':')
    assert.deepEqual([index, label], [String(first!.index), first!.label])
    assert.ok(Math.abs(Number(score) - first!.score) < 1e-5)
    assert.equal(answers.classes[1]!.length, 2)
  })

  it('gets helpful errors', () => {
    const patterns = {
      'unknown model': ['404', /there is no model 'unknown'/],
      'wrong shape': ['400', /input: expected the shape \[N, 3, 32, 32\], got \[1, 2, 32, 32\]/],
      'wrong type': ['400', /datatype: expected FP32 or BYTES, got 'FP64'/],
      'not an image': ['422', /expected an image/],
      load: ['400', /cannot reload models/],
    } as const
    for (const [name, [status, message]] of Object.entries(patterns)) {
      assert.equal(answers.errors[name]?.[0], status, name)
      assert.match(answers.errors[name]![1], message)
    }
  })
})
