// Every asynchronous entry point of the addon, as a task that is repeated while its thread ends.
import { openSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { native } from '../../dist/native/native.js'

const addon = native()
const size = 32
const network = {
  widthMult: 0.25,
  invertedResidualSetting: [
    [1, 16, 1, 1],
    [2, 16, 2, 2],
  ],
}
const pixels = { data: new Uint8Array(400 * 300 * 3).fill(90), width: 400, height: 300, channels: 3 }
const transform = [
  { op: 'resize', from: [0, 0, 400, 300], size: [size, size], crop: [0, 0, size, size], filter: 'bilinear' },
]
const labels = Int32Array.from({ length: 16 }, (_, index) => index % 3)
const step = { learningRate: 1e-3, seed: 0, scale: 1, update: true, mixed: null }

const createModel = () => addon.createModel('mobilenet_v2', 3, 0, network)
const createCalibrator = async () => addon.createCalibrator(await createModel(), 'mse')
const createTrainer = async () =>
  addon.createTrainer(await createModel(), {
    optimizer: { name: 'sgd', momentum: 0.9, dampening: 0, nesterov: false, weightDecay: 0 },
    labelSmoothing: 0,
    classWeights: null,
    clipGradNorm: null,
    ema: null,
    dtype: 'float32',
  })
function createBatch() {
  const batch = new addon.ImageBatch(16, size, size, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
  batch.setTensor(new Float32Array(16 * 3 * size * size))
  return batch
}
const largeValue = () =>
  new Map([['tensor', { dtype: 'float32', shape: [1 << 20], data: new Float32Array(1 << 20) }]])

/** Joins a group with this process as the only member. */
const joinGroup = () =>
  addon.joinGroup({
    rank: 0,
    worldSize: 1,
    masterAddress: '127.0.0.1',
    masterPort: 0, // any free port
    timeout: 20_000,
    hostsStore: true,
    prefix: 'test',
  })

/**
 * The tasks by the entry point's name: each gives, in a folder with what {@link writeFiles} wrote, a function that
 * starts the entry point once.
 */
export const tasks = {
  openCheckpoint: async folder => () => addon.openCheckpoint(join(folder, 'large.pth'), { verify: true }),
  async read(folder) {
    const checkpoint = await addon.openCheckpoint(join(folder, 'large.pth'), { verify: false })
    return () => checkpoint.read()
  },
  async writeCheckpoint(folder, id) {
    const value = largeValue()
    return () => addon.writeCheckpoint(openSync(join(folder, `written-${id}.pth`), 'w'), value)
  },
  async saveModel(folder, id) {
    const model = await createModel()
    return () => addon.saveModel(openSync(join(folder, `saved-${id}.pth`), 'w'), model, new Map(), null)
  },
  createModel: async () => createModel,
  async replaceClassifier() {
    const model = await createModel()
    return () => model.replaceClassifier(100, 0)
  },
  async loadStateDict(folder) {
    const model = await createModel()
    const checkpoint = await addon.openCheckpoint(join(folder, 'model.pth'), { verify: false })
    return () => model.loadStateDict(checkpoint, { averaged: true, classifier: 'whole', strict: true })
  },
  async matchWeights(folder) {
    const checkpoint = await addon.openCheckpoint(join(folder, 'model.pth'), { verify: false })
    return () =>
      addon.matchWeights(checkpoint, 'mobilenet_v2', network, { averaged: true, classifier: 'whole' })
  },
  async firstNonFinite() {
    const model = await createModel()
    return () => model.firstNonFinite()
  },
  async stateDict() {
    const model = await createModel()
    return () => model.stateDict()
  },
  async forward() {
    const [model, batch] = [await createModel(), createBatch()]
    return () => model.forward(batch, batch.capacity, 'logits')
  },
  async to() {
    const model = await createModel()
    return () => model.to('cpu', 'float32')
  },
  async createCalibrator() {
    const model = await createModel()
    return () => addon.createCalibrator(model, 'mse')
  },
  async use() {
    const calibrator = await createCalibrator()
    return () => calibrator.use([])
  },
  async observe() {
    const [calibrator, batch] = [await createCalibrator(), createBatch()]
    return () => calibrator.observe(batch, batch.capacity)
  },
  async measure() {
    const [calibrator, batch] = [await createCalibrator(), createBatch()]
    await calibrator.observe(batch, batch.capacity)
    return () => calibrator.measure(batch, batch.capacity)
  },
  async layers() {
    const calibrator = await createCalibrator()
    return () => calibrator.layers()
  },
  async quantize() {
    const [calibrator, batch] = [await createCalibrator(), createBatch()]
    await calibrator.observe(batch, batch.capacity)
    await calibrator.measure(batch, batch.capacity)
    return () => calibrator.quantize([])
  },
  createTrainer: async () => createTrainer,
  async setFrozen() {
    const trainer = await createTrainer()
    return () => trainer.setFrozen(true, true)
  },
  async step() {
    const [trainer, batch] = [await createTrainer(), createBatch()]
    return () => trainer.step(batch, labels, step)
  },
  async stepFeatures() {
    const trainer = await createTrainer()
    const features = new Float32Array(16 * 1280)
    return () => trainer.stepFeatures(features, labels, step)
  },
  async loadState(folder) {
    const trainer = await createTrainer()
    const checkpoint = await addon.openCheckpoint(join(folder, 'last.pth'), { verify: false })
    return () => trainer.loadState(checkpoint)
  },
  async join() {
    const group = await joinGroup()
    return async () => (await createTrainer()).join(group)
  },
  async update() {
    const [trainer, batch] = [await createTrainer(), createBatch()]
    await trainer.join(await joinGroup())
    return async () => {
      await trainer.step(batch, labels, { ...step, update: false, last: true })
      await trainer.update(1e-3, new Float64Array(2))
    }
  },
  async broadcastBuffers() {
    const trainer = await createTrainer()
    await trainer.join(await joinGroup())
    return () => trainer.broadcastBuffers()
  },
  async checksum() {
    const trainer = await createTrainer()
    return () => trainer.checksum()
  },
  joinGroup: async () => joinGroup,
  async broadcast() {
    const [group, trainer] = [await joinGroup(), await createTrainer()]
    await trainer.join(group)
    return () => Promise.all([group.broadcast(new Uint8Array(1 << 20)), trainer.broadcast()])
  },
  async allGather() {
    const group = await joinGroup()
    return () => group.allGather(new Uint8Array(1 << 16))
  },
  async sum() {
    const group = await joinGroup()
    return () => group.sum(new Float64Array(1 << 12))
  },
  close: async () => async () => (await joinGroup()).close(),
  fail: async () => async () => (await joinGroup()).fail('the test ends'),
  async onnxGraph() {
    const model = await createModel()
    return () => addon.onnxGraph(model, size, size, 18)
  },
  async set() {
    const batch = createBatch()
    return () => batch.set(0, pixels, transform)
  },
  async mix() {
    const batch = createBatch()
    return () => batch.mix(batch.capacity, 0.3, null)
  },
  transformPixels: async () => () => addon.transformPixels(pixels, transform),
  decodeFile: async folder => () => addon.decodeFile(join(folder, 'photo.ppm'), 1e8),
  async decodeBytes() {
    const file = photo()
    return () => addon.decodeBytes(file, 1e8)
  },
  async cmykToRgb() {
    const data = new Uint8Array(4 << 18)
    return () => addon.cmykToRgb(data)
  },
}

const photo = () => Buffer.concat([Buffer.from('P6 512 512 255 '), Buffer.alloc(3 << 18, 7)])

/** Writes the files that the tasks read. */
export async function writeFiles(folder) {
  await writeFile(join(folder, 'photo.ppm'), photo())
  const create = name => openSync(join(folder, name), 'w')
  await addon.writeCheckpoint(create('large.pth'), largeValue())
  await addon.saveModel(create('model.pth'), await createModel(), new Map(), null)
  const trainer = await createTrainer()
  await trainer.step(createBatch(), labels, step)
  await addon.saveModel(create('last.pth'), await createModel(), new Map(), trainer)
}

/** Repeats the task until the thread ends. */
export async function repeat(task) {
  for (;;) await Promise.all([task(), task(), task()])
}
