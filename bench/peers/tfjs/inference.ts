// TensorFlow.js. The networks are built from its operators, with batch norms folded as its converter does.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { readCheckpoint, type TensorData } from '../../../lib/index.js'
import { job, readNoise, serve } from '../serve.js'

const tf = await loadTensorFlow(createRequire(join(job.folder, 'tfjs/')))
type Tensor = unknown
type Layer = (x: Tensor) => Tensor
type Shape = [number, number, number, number]

const state = (await readCheckpoint(job.weights)) as Map<string, TensorData>
const values = (name: string) => state.get(name)!.data as Float32Array

interface Convolution {
  norm?: string
  stride?: number
  depthwise?: boolean
  activation?: 'relu' | 'relu6' | 'linear'
}

/** A convolution that keeps the size except for its stride, with its batch norm and activation. */
function convolution(name: string, options: Convolution = {}): Layer {
  const { norm, stride = 1, depthwise = false, activation = 'relu' } = options
  const shape = state.get(`${name}.weight`)!.shape as Shape
  const [outputs, , kernel] = shape
  let weight = tf.tensor(values(`${name}.weight`), shape)
  let bias = norm === undefined ? tf.tensor(values(`${name}.bias`)) : tf.zeros([outputs])
  if (norm !== undefined) {
    const [gamma, beta, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map(part =>
      tf.tensor(values(`${norm}.${part}`)),
    )
    const scale = tf.div(gamma, tf.sqrt(tf.add(variance, 1e-5)))
    weight = tf.mul(weight, tf.reshape(scale, [outputs, 1, 1, 1]))
    bias = tf.sub(beta, tf.mul(mean, scale))
  }
  const filter = tf.transpose(weight, depthwise ? [2, 3, 0, 1] : [2, 3, 1, 0])
  const run = depthwise ? tf.fused.depthwiseConv2d : tf.fused.conv2d
  return x => run({ x, filter, strides: stride, pad: (kernel - 1) / 2, bias, activation })
}

/**
 * Does not use the fused product, because that of 4.22's WebAssembly backend adds the bias several times, 22 times for 1024
 * inputs.
 */
function linear(name: string): Layer {
  const weight = tf.tensor(values(`${name}.weight`), state.get(`${name}.weight`)!.shape)
  const bias = tf.tensor(values(`${name}.bias`))
  return x => tf.add(tf.matMul(x, weight, false, true), bias)
}

const chain = (layers: Layer[]) => (x: Tensor) => layers.reduce((y, layer) => layer(y), x)
const has = (name: string) => state.has(`${name}.weight`)
const pooled = (x: Tensor) => tf.mean(x, [1, 2])

function resnet(): Layer {
  const blocks: Layer[] = []
  for (let stage = 1; stage <= 4; stage++)
    for (let i = 0; has(`layer${stage}.${i}.conv1`); i++) {
      const name = `layer${stage}.${i}`
      const stride = i === 0 && stage > 1 ? 2 : 1
      const main = chain([
        convolution(`${name}.conv1`, { norm: `${name}.bn1` }),
        convolution(`${name}.conv2`, { norm: `${name}.bn2`, stride }),
        convolution(`${name}.conv3`, { norm: `${name}.bn3`, activation: 'linear' }),
      ])
      const projection = `${name}.downsample`
      const shortcut = has(`${projection}.0`)
        ? convolution(`${projection}.0`, { norm: `${projection}.1`, stride, activation: 'linear' })
        : (x: Tensor) => x
      blocks.push(x => tf.relu(tf.add(main(x), shortcut(x))))
    }
  // Padded separately, because tfjs-node pools without padding. The values are at least 0, so zeros do not change the
  // maximum.
  const pool: Layer = x =>
    tf.maxPool(
      tf.pad(x, [
        [0, 0],
        [1, 1],
        [1, 1],
        [0, 0],
      ]),
      3,
      2,
      'valid',
    )
  return chain([convolution('conv1', { norm: 'bn1', stride: 2 }), pool, ...blocks, pooled, linear('fc')])
}

function mobilenetV2(): Layer {
  const layers = [convolution('features.0.0', { norm: 'features.0.1', stride: 2, activation: 'relu6' })]
  for (let i = 1; i <= 17; i++) {
    const name = `features.${i}.conv`
    const stride = [2, 4, 7, 14].includes(i) ? 2 : 1
    const relu6 = (part: string, more = {}) =>
      convolution(`${name}.${part}.0`, { norm: `${name}.${part}.1`, activation: 'relu6', ...more })
    const expand = has(`${name}.1.0`) ? [relu6('0')] : []
    const last = expand.length + 1
    const main = chain([
      ...expand,
      relu6(`${expand.length}`, { stride, depthwise: true }),
      convolution(`${name}.${last}`, { norm: `${name}.${last + 1}`, activation: 'linear' }),
    ])
    const inputs = state.get(`${name}.0.0.weight`)!.shape[expand.length > 0 ? 1 : 0]
    const isResidual = stride === 1 && inputs === state.get(`${name}.${last}.weight`)!.shape[0]
    layers.push(isResidual ? x => tf.add(x, main(x)) : main)
  }
  const head = convolution('features.18.0', { norm: 'features.18.1', activation: 'relu6' })
  return chain([...layers, head, pooled, linear('classifier.1')])
}

function vgg16(): Layer {
  const layers: Layer[] = []
  for (let i = 0; i < 30; i++) if (has(`features.${i}`)) layers.push(convolution(`features.${i}`))
  for (const after of [13, 10, 7, 4, 2]) layers.splice(after, 0, x => tf.maxPool(x, 2, 2, 'valid'))
  const flatten: Layer = x => tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [job.batch, -1])
  const classifier = [
    linear('classifier.0'),
    tf.relu,
    linear('classifier.3'),
    tf.relu,
    linear('classifier.6'),
  ]
  return chain([...layers, flatten, ...classifier])
}

async function loadTensorFlow(require: NodeJS.Require) {
  if (job.setup === 'node') return require('@tensorflow/tfjs-node')
  const core = require('@tensorflow/tfjs-core')
  require('@tensorflow/tfjs-backend-wasm')
  await core.setBackend('wasm')
  return core
}

const network = { resnet50: resnet, mobilenet_v2: mobilenetV2, vgg16 }[job.network as string]!()
const images = tf.transpose(tf.tensor(readNoise(), [job.batch, 3, job.size, job.size]), [0, 2, 3, 1])
await serve(() => tf.tidy(() => network(images)).data())
