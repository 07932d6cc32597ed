import assert from 'node:assert/strict'
import { createHandler, type Handler, type Model } from '../../../lib/index.js'
import { picture } from '../../support/serving.js'
import { onOneThread } from '../../support/small-network.js'
import { tinyModel } from '../../support/tiny-model.js'

describe('POST /v2/models/{name}/infer', () => {
  onOneThread()
  let model: Model
  let handler: Handler
  before(async () => {
    model = await tinyModel()
    handler = createHandler({ tiny: model }, { maxFiles: 4 })
  })

  const infer = async (
    body: NonNullable<RequestInit['body']>,
    headers: Record<string, string> = {},
    path = 'tiny',
  ) => {
    const request = new Request(`http://localhost/v2/models/${path}/infer`, { method: 'POST', body, headers })
    const response = await handler(request)
    return {
      status: response.status,
      body: (await response.json()) as { error: string; outputs: { data: number[] }[] },
    }
  }
  const tensor = (shape: unknown, data: unknown, more: object = {}) =>
    JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape, data, ...more }] })
  const size = 3 * 32 * 32
  const zeros = Array.from({ length: size }, () => 0)
  const withHeader = (json: string, bytes: Buffer, length: unknown = Buffer.byteLength(json)) =>
    infer(Buffer.concat([Buffer.from(json), bytes]), { 'inference-header-content-length': String(length) })
  const binary = (shape: number[], count: unknown) =>
    tensor(shape, undefined, { parameters: { binary_data_size: count } })

  it('accepts nested arrays and versions', async () => {
    const flat = await infer(tensor([1, 3, 32, 32], zeros))
    assert.equal(flat.status, 200, JSON.stringify(flat.body))
    const rows = Array.from({ length: 3 }, () => Array.from({ length: 32 }, () => new Array(32).fill(0)))
    const nested = await infer(tensor([1, 3, 32, 32], [rows]), {}, 'tiny/versions/1')
    assert.deepEqual(nested.body.outputs, flat.body.outputs)
    assert.equal((await infer(tensor([1, 3, 32, 32], zeros), {}, 'tiny/versions/2')).status, 404)
    assert.equal((await infer(tensor([1, 3, 32, 32], zeros), {}, '..%2F..%2F')).status, 404)
  })

  it('computes any number of images, whatever the batch size', async () => {
    handler = createHandler({ tiny: model }, { maxFiles: 4, batchSize: 3 })
    const one = await infer(tensor([1, 3, 32, 32], zeros))
    const four = await infer(tensor([4, 3, 32, 32], [zeros, zeros, zeros, zeros].flat()))
    const [logits] = one.body.outputs
    assert.deepEqual(
      four.body.outputs[0]!.data.map(value => value.toFixed(5)),
      [1, 2, 3, 4].flatMap(() => logits!.data.map(value => value.toFixed(5))),
    )
  })

  it('accepts an image in base64', async () => {
    const image = (await picture(1)).toString('base64')
    const { status } = await infer(
      JSON.stringify({ inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], data: [image] }] }),
    )
    assert.equal(status, 200)
  })

  const cut = Buffer.from([255, 255, 255, 255, 1])
  const strings = (count: number) =>
    JSON.stringify({
      inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: count } }],
    })
  const refusals: [string, () => ReturnType<typeof infer>, number, RegExp][] = [
    ['a body that is not JSON', () => infer('x'), 400, /expected JSON/],
    ['no inputs', () => infer('{}'), 400, /with inputs/],
    ['an empty list of inputs', () => infer('{"inputs":[]}'), 400, /expected one input/],
    ['a shape that is not an array', () => infer(tensor('x', zeros)), 400, /shape/],
    ['a negative size', () => infer(tensor([-1, 3, 32, 32], zeros)), 400, /shape/],
    [
      'a shape with more values than there are',
      () => infer(tensor([2, 3, 32, 32], zeros)),
      400,
      /expected 6144 values/,
    ],
    ['a shape beyond all memory', () => infer(tensor([2e9, 2e9, 2e9, 2e9], [])), 400, /values/],
    [
      'too many images',
      () => infer(tensor([5, 3, 32, 32], Array.from({ length: 5 }, () => zeros).flat())),
      413,
      /at most/,
    ],
    ['no images', () => infer(tensor([0, 3, 32, 32], [])), 400, /shape/],
    ['numbers that are strings', () => infer(tensor([1, 3, 32, 32], ['0'])), 400, /expected numbers/],
    [
      'arrays that are nested deeper than the shape',
      () => infer(tensor([1], [[[[0]]]])),
      400,
      /expected numbers/,
    ],
    [
      'numbers beyond float32',
      () =>
        infer(
          tensor(
            [1, 3, 32, 32],
            zeros.map(() => 1e300),
          ),
        ),
      400,
      /finite/,
    ],
    ['a million brackets', () => infer('['.repeat(1e6)), 413, /at most/],
    ['a header longer than the body', () => withHeader('{}', Buffer.alloc(0), 100), 400, /within the body/],
    ['a header of a negative length', () => withHeader('{}', Buffer.alloc(0), -1), 400, /within the body/],
    [
      'a header of more than 1 MiB',
      () => withHeader(' '.repeat(2 << 20), Buffer.alloc(0)),
      400,
      /1048576 bytes/,
    ],
    [
      'fewer bytes than binary_data_size',
      () => withHeader(binary([1, 3, 32, 32], size * 4), Buffer.alloc(9)),
      400,
      /bytes left/,
    ],
    [
      'bytes that belong to no tensor',
      () => withHeader(binary([1, 3, 32, 32], size * 4), Buffer.alloc(size * 4 + 1)),
      400,
      /1 more/,
    ],
    [
      'a binary_data_size that is not a number',
      () => withHeader(binary([1, 3, 32, 32], 'x'), Buffer.alloc(9)),
      400,
      /binary_data_size/,
    ],
    [
      'a size that is not a multiple of a float',
      () => withHeader(binary([1, 3, 32, 32], 9), Buffer.alloc(9)),
      400,
      /values/,
    ],
    ['truncated strings', () => withHeader(strings(5), cut), 400, /cut/],
    [
      'an output that does not exist',
      () => infer(tensor([1, 3, 32, 32], zeros).replace('{', '{"outputs":[{"name":"x"}],')),
      400,
      /outputs/,
    ],
  ]
  for (const [what, ask, status, message] of refusals) {
    it(`refuses ${what} with ${status}`, async () => {
      const { status: got, body } = await ask()
      assert.equal(got, status, JSON.stringify(body).slice(0, 300))
      assert.match(body.error, message)
    })
  }
})
