import assert from 'node:assert/strict'
import { existsSync, lstatSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DEFAULT_PREPROCESSING } from '../../lib/image/preprocessing.js'
import {
  convertCheckpoint,
  createModel,
  fetchWeights,
  inspectCheckpoint,
  loadModel,
  type TensorData,
} from '../../lib/index.js'
import { behave } from '../support/flaky-server.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { gitHash, HubServer, sha256 } from '../support/hub-server.js'

const variables = ['HF_ENDPOINT', 'HF_HOME', 'HF_HUB_CACHE', 'HF_TOKEN', 'HF_HUB_OFFLINE', 'NO_PROXY']

describe('weights on the Hugging Face Hub', function () {
  this.timeout(60_000)
  const name = 'timm/mobilenetv2_100.ra_in1k'
  const config = {
    architecture: 'mobilenetv2_100',
    num_classes: 3,
    label_names: ['ant', 'bee', 'cow'],
    pretrained_cfg: {
      input_size: [3, 160, 160],
      interpolation: 'bicubic',
      crop_pct: 0.9,
      mean: [0.5, 0.5, 0.5],
      std: [0.25, 0.25, 0.25],
    },
  }
  const environment = variables.map(name => [name, process.env[name]] as const)
  let content: Buffer
  let state: Map<string, TensorData>
  let server: HubServer
  let folder: string

  before(async () => {
    const root = await temporaryFolder()
    using model = await createModel('mobilenet_v2', { numClasses: 3, seed: 4, device: 'cpu' })
    state = await model.stateDict()
    await model.save(join(root, 'model.pth'))
    await convertCheckpoint(join(root, 'model.pth'), join(root, 'model.safetensors'), {
      names: 'timm',
      format: 'state_dict',
    })
    content = await readFile(join(root, 'model.safetensors'))
  })
  beforeEach(async () => {
    server = new HubServer(name, 'model.safetensors', content)
    server.small.set('config.json', Buffer.from(JSON.stringify(config)))
    process.env.HF_ENDPOINT = await server.start()
    process.env.HF_HOME = await temporaryFolder()
    process.env.NO_PROXY = '127.0.0.1'
    folder = join(process.env.HF_HOME, 'hub', 'models--timm--mobilenetv2_100.ra_in1k')
  })
  afterEach(async () => {
    for (const [name, value] of environment) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    await server.stop()
  })
  after(removeTemporaryFolders)

  it('load with the classes and the preprocessing of config.json', async () => {
    const progress: number[] = []
    for (const load of [
      () =>
        createModel('mobilenet_v2', {
          weights: `hf:${name}`,
          device: 'cpu',
          onProgress: ({ received }) => progress.push(received),
        }),
      () => loadModel(`hf:${name}@main`, { device: 'cpu' }),
    ]) {
      using model = await load()
      assert.equal(model.architecture, 'mobilenet_v2')
      assert.equal(model.untrained, false)
      assert.deepEqual(model.classes, config.label_names)
      const { mean, std } = config.pretrained_cfg
      assert.deepEqual(model.preprocessing, {
        ...DEFAULT_PREPROCESSING,
        resize: 177, // floor(160 / 0.9)
        crop: 160,
        mean,
        std,
        interpolation: 'bicubic',
      })
      assert.deepEqual(await model.stateDict(), state)
    }
    assert.equal(progress.at(-1), content.length)
    assert.equal(server.cdn.requests.length, 1)
  })

  it('are cached in the same layout as by the Python library', async () => {
    const path = await fetchWeights(`hf:${name}`)
    const { commit } = server
    assert.equal(path, join(folder, 'snapshots', commit, 'model.safetensors'))
    assert.equal(readlinkSync(path), `../../blobs/${sha256(content)}`)
    assert.deepEqual(readFileSync(path), content)
    const text = server.small.get('config.json')!
    assert.equal(
      readlinkSync(join(folder, 'snapshots', commit, 'config.json')),
      `../../blobs/${gitHash(text)}`,
    )
    assert.equal(readFileSync(join(folder, 'refs/main'), 'utf8'), commit)
    assert.ok(lstatSync(path).isSymbolicLink())
  })

  it('come from the cache if the Hub is unreachable, in offline mode, or if the commit is named', async () => {
    const path = await fetchWeights(`hf:${name}`)
    const count = server.requests.length
    assert.equal(await fetchWeights(`hf:${name}@${server.commit}`), path)
    process.env.HF_HUB_OFFLINE = '1'
    assert.equal(await fetchWeights(`hf:${name}`), path)
    assert.equal(server.requests.length, count)
    await assert.rejects(fetchWeights('hf:timm/other'), {
      code: 'ERR_DOWNLOAD',
      message: /hf:timm\/other@main: it is not in the cache, and HF_HUB_OFFLINE/,
    })
    delete process.env.HF_HUB_OFFLINE
    process.env.HF_ENDPOINT = 'http://127.0.0.1:49151'
    assert.equal(await fetchWeights(`hf:${name}`), path)
    await assert.rejects(fetchWeights('hf:timm/other'), {
      code: 'ERR_DOWNLOAD',
      message: /refused the connection/,
    })
  })

  it('resume an interrupted download', async () => {
    const part = join(folder, 'blobs', `${sha256(content)}.part`)
    server.cdn.behaviours = [
      behave.cutAt(100_000, async () => {
        while (!existsSync(part) || statSync(part).size < 100_000) await new Promise(setImmediate)
      }),
      behave.well,
    ]
    assert.deepEqual(readFileSync(await fetchWeights(`hf:${name}`)), content)
    assert.deepEqual(server.cdn.starts, [0, 100_000])
  })

  it('are requested with HF_TOKEN, which no other host receives', async () => {
    server.token = 'hf_secret'
    await assert.rejects(fetchWeights(`hf:${name}`), {
      code: 'ERR_DOWNLOAD',
      message:
        /HTTP status 401.*private or gated.*set HF_TOKEN.*http:\/\/127\.0\.0\.1:\d+\/timm\/mobilenetv2_100/,
    })
    process.env.HF_TOKEN = 'hf_secret'
    await fetchWeights(`hf:${name}`)
    assert.ok(server.requests.slice(1).every(({ headers }) => headers.authorization === 'Bearer hf_secret'))
    assert.deepEqual(
      server.cdn.requests.map(({ headers }) => headers.authorization),
      [undefined],
    )
  })

  it('are not kept if their hash is wrong, small files included', async () => {
    server.etag = '0'.repeat(64)
    await assert.rejects(fetchWeights(`hf:${name}`), { code: 'ERR_DOWNLOAD_HASH' })
    assert.equal(existsSync(join(folder, 'blobs', server.etag)), false)
    server.etag = '0'.repeat(40)
    await assert.rejects(fetchWeights(`hf:${name}`), {
      code: 'ERR_DOWNLOAD_HASH',
      message: /Git hash is 0000/,
    })
    assert.equal(existsSync(join(folder, 'blobs', server.etag)), false)
    assert.equal(existsSync(join(folder, 'refs/main')), false)
  })

  it('of unsupported networks are refused by name', async () => {
    for (const [json, message] of [
      [
        { architecture: 'tf_mobilenetv3_large_100' },
        /it holds timm's tf_mobilenetv3_large_100, which visiontorch cannot load/,
      ],
      [
        { architectures: ['ViTForImageClassification'] },
        /it holds weights with the names of transformers' ViTForImageClassification/,
      ],
    ] as const) {
      server.small.set('config.json', Buffer.from(JSON.stringify(json)))
      process.env.HF_HOME = await temporaryFolder()
      for (const load of [loadModel, (path: string) => createModel('mobilenet_v2', { weights: path })])
        await assert.rejects(load(`hf:${name}`), { code: 'ERR_CHECKPOINT_UNSUPPORTED', message })
    }
  })

  it('are converted, with the classes and the preprocessing of config.json', async () => {
    const output = join(process.env.HF_HOME!, 'model.pth')
    await convertCheckpoint(`hf:${name}`, output)
    using model = await loadModel(output, { device: 'cpu' })
    assert.deepEqual(model.classes, config.label_names)
    assert.equal(model.preprocessing.crop, 160)
    assert.deepEqual(await model.stateDict(), state)
    // A repository that does not say which network it holds.
    server.small.clear()
    const again = join(process.env.HF_HOME!, 'again.safetensors')
    await rm(join(process.env.HF_HOME!, 'hub'), { recursive: true })
    await assert.rejects(
      convertCheckpoint(`hf:${name}`, again, { names: 'timm' }),
      /Name it with architecture/,
    )
    await convertCheckpoint(`hf:${name}`, again, {
      architecture: 'mobilenet_v2',
      names: 'timm',
      dtype: 'float16',
    })
    const { tensors } = await inspectCheckpoint(again)
    assert.equal(tensors.find(({ name }) => name === 'conv_stem.weight')!.dtype, 'float16')
  })

  it('of a network other than the requested one are refused', async () => {
    await assert.rejects(createModel('resnet18', { weights: `hf:${name}` }), {
      code: 'ERR_CHECKPOINT_MISMATCH',
      message: /expected the weights of resnet18, got those of mobilenet_v2/,
    })
  })

  it('without config.json belong to the network that the caller names', async () => {
    server.small.clear()
    using model = await createModel('mobilenet_v2', { weights: `hf:${name}`, device: 'cpu' })
    assert.deepEqual(model.classes, ['0', '1', '2'])
    await assert.rejects(loadModel(`hf:${name}`), { code: 'ERR_CHECKPOINT_MISMATCH' })
  })

  it('are named by an owner and a repository', async () => {
    for (const wrong of [
      'hf:resnet50',
      'hf:a/b/c',
      'hf:../x',
      'hf:a/..',
      'hf:a/b@',
      'hf:a/b@../x',
      'hf:a--b/c',
      'hf:a/b?x',
    ])
      await assert.rejects(
        fetchWeights(wrong),
        { code: 'ERR_INVALID_ARGUMENT', message: /hf:owner\/name/ },
        wrong,
      )
    await assert.rejects(fetchWeights('hf:timm/missing'), { code: 'ERR_DOWNLOAD', message: /404/ })
    process.env.HF_ENDPOINT = 'ftp://x'
    await assert.rejects(fetchWeights(`hf:${name}`), { code: 'ERR_INVALID_ARGUMENT', message: /HF_ENDPOINT/ })
  })
})
