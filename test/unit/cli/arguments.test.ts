import assert from 'node:assert/strict'
import { join } from 'node:path'
import * as visiontorch from '../../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder, writeFiles } from '../../support/folder.js'
import { drawPhotos } from '../../support/photos.js'
import { onOneThread } from '../../support/small-network.js'
import { csvOf, writeParquet, writeShards } from '../../support/sources.js'
import { tinyModel, tinyOptions } from '../../support/tiny-model.js'

/** Each of these is wrong for most arguments; if it happens to be right for one, it need not be an error there. */
const wrong: unknown[] = [
  ...[undefined, null, 0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 3n, '', 'x', true, Symbol('s')],
  ...[() => 1, {}, [], [null], new Map(), { foo: 1 }, Object.create(null), new Date(), Promise.resolve()],
]

type Call = (...args: unknown[]) => unknown
/** The function, valid arguments, and the positions at which a string is a path that would be written. */
type Row = [call: Call, args: unknown[], written?: number[]]

describe('every exported function', function () {
  this.timeout(60_000)
  onOneThread()
  const rows = new Map<string, Row>()
  const shorthands: Call[] = []
  const home = process.cwd()
  const mirror = process.env.VISIONTORCH_WEIGHTS_URL

  before(async () => {
    const root = await temporaryFolder()
    const photos = join(root, 'photos')
    const classes = ['checks', 'rows']
    await drawPhotos(photos, { classes, train: 2, val: 1 })
    const model = await tinyModel({ classes })
    const image = join(photos, 'val/rows/0.png')
    const path = join(root, 'model.pth')
    await model.save(path)
    const folder = await visiontorch.ImageFolder.open(photos)
    await visiontorch.writeAnnotations(folder, root)
    await writeShards(root, folder)
    await writeParquet(root, folder)
    const labels = ['checks', 'rows']
    const columns = { image: 'path', label: 'label', split: 'split' }
    await writeFiles(root, {
      'all.csv': csvOf(folder, root),
      'all.jsonl': labels.map(label => `{"path":"x.png","label":"${label}","split":"train"}\n`).join(''),
    })
    process.env.VISIONTORCH_WEIGHTS_URL = 'no address' // nothing is downloaded
    process.chdir(root) // for calls that write to a relative path
    const signal = new AbortController().signal
    const aborted = AbortSignal.abort()
    const onProgress = () => {}
    const sourceOptions = { classes, valFraction: 0, seed: 0, signal, onProgress }
    const loadOptions = { device: 'cpu', dtype: 'float32', signal }
    const createOptions = {
      ...tinyOptions,
      ...loadOptions,
      weights: null,
      numClasses: 3,
      seed: 0,
      strict: true,
    }
    const predictOptions = { topK: 1, batchSize: 1, allowUntrained: true, signal }
    const bind = (object: object, name: string): Call => (object as Record<string, Call>)[name]!.bind(object)
    const methods = (prefix: string, object: object, of: Record<string, Row[1]>, written: number[] = []) => {
      for (const [name, args] of Object.entries(of))
        rows.set(`${prefix}.${name}`, [bind(object, name), args, written])
    }
    const functions: Record<string, Row[1]> = {
      inspectCheckpoint: [path, { verify: true }],
      readCheckpoint: [path, { verify: true }],
      writeCheckpoint: [join(root, 'x.pth'), new Map(), { container: 'zip' }],
      convertCheckpoint: [
        path,
        join(root, 'x.pth'),
        {
          architecture: 'mobilenet_v2',
          container: 'zip',
          format: 'checkpoint',
          classifier: true,
          dtype: 'float32',
          names: 'torchvision',
          signal,
          onProgress,
        },
      ],
      createModel: ['mobilenet_v2', { ...createOptions, onProgress }],
      loadModel: [path, loadOptions],
      fromAnnotations: ['cls_train.txt', classes, { valFraction: 0, seed: 0, signal, onProgress }],
      fromCsv: ['all.csv', { ...sourceOptions, ...columns }],
      fromJsonLines: ['all.jsonl', { ...sourceOptions, ...columns }],
      fromSamples: [labels.map(label => ({ image, label })), sourceOptions],
      fromWebDataset: [join(root, 'photos-train-0.tar'), { ...sourceOptions, label: 'label' }],
      fromParquet: [
        join(root, 'train-00000-of-00001.parquet'),
        { ...sourceOptions, image: 'image', label: 'label' },
      ],
      writeAnnotations: [folder, root, { relative: true }],
      checkDataset: [photos, { classes, columns: {}, batchSize: 3, signal, onProgress }],
      evaluate: [
        model,
        photos,
        {
          split: 'val',
          batchSize: 2,
          workers: 1,
          keepWorst: 1,
          classes,
          allowUntrained: true,
          signal,
          onProgress,
        },
      ],
      preprocess: [image, { crop: 32 }, { signal }],
      predict: [model, image, predictOptions],
      predictEach: [model, [image], predictOptions],
      setThreads: [1],
      listWeights: ['resnet50'],
      resolveWeights: ['resnet50', 'DEFAULT'],
      fetchWeights: [
        visiontorch.listWeights('resnet50')[0],
        { verify: true, signal: aborted, onProgress, onWarning: onProgress },
      ],
      train: [
        model,
        {
          data: photos,
          epochs: 1,
          batchSize: 2,
          inputSize: 32,
          report: false,
          directory: root,
          signal: aborted,
        },
      ],
      createHandler: [
        model,
        {
          basePath: '',
          batchSize: 2,
          maxQueue: 4,
          maxBodyBytes: 1000,
          maxPixels: 100,
          maxFiles: 1,
          timeout: 1000,
          apiKey: 'key',
          cors: [],
          page: false,
          allowUntrained: true,
          logger: console,
        },
      ],
      toNodeListener: [async () => new Response()],
      runtimeInfo: [],
      listArchitectures: [],
      imagenetClasses: [],
      Model: [{ network: model.network, classes }],
      TrainingRun: [async () => {}],
      PredictionError: [new Map([[0, new visiontorch.VisionTorchError('ERR_IMAGE_DECODE', 'x')]]), []],
    }
    const { VisionTorchError: _, ImageFolder: __, ...others } = visiontorch // an Error as any; no public constructor
    for (const [name, exported] of Object.entries(others) as [string, Call][]) {
      const isClass = name !== name.toLowerCase() && /^[A-Z]/.test(name)
      const call: Call = isClass ? (...args) => Reflect.construct(exported, args) : exported
      const args = functions[name]
      if (args === undefined) {
        shorthands.push(call) // such as resnet50(): createModel with a name
        continue
      }
      const written: Record<string, number[]> = {
        writeCheckpoint: [0],
        writeAnnotations: [1],
        convertCheckpoint: [1],
      }
      rows.set(name, [call, args, written[name] ?? []])
    }
    methods('ImageFolder', visiontorch.ImageFolder, {
      open: [photos, { valFraction: 0, seed: 0, classes, signal, onProgress }],
    })
    methods('ImageFolder', folder, { split: ['train'] })
    methods('Model', model, {
      predict: [image, predictOptions],
      features: [image, { batchSize: 1, signal }],
      replaceClassifier: [classes, { seed: 0 }],
      freeze: [false],
      loadStateDict: [path, { strict: false }],
      summary: [32],
      stateDict: [],
      to: ['cpu', 'float32'],
      quantize: [photos, { method: 'mse', samples: 2, keep: 'auto', split: 'train', signal, onProgress }],
    })
    const scales = join(root, 'int8.onnx')
    {
      using quantized = await model.quantize(photos, { keep: 'none' })
      await quantized.export(scales, { allowUntrained: true })
    }
    rows.set('Model.quantize with scales', [
      bind(model, 'quantize'),
      [photos, { scales, signal, onProgress }],
    ])
    methods('Model', model, { save: [path, { format: 'checkpoint' }] }, [0])
    methods('Model', model, { export: [join(root, 'x.onnx'), { opset: 18, dynamicBatch: true }] }, [0])
    rows.set('Model.export with calibration', [
      options => model.export(join(root, 'folder'), { format: 'transformers', ...(options as object) }),
      [{ calibration: photos, signal, onProgress }],
    ])
    rows.set('Model.preprocessing', [value => Object.assign(model, { preprocessing: value }), [{ crop: 32 }]])
  })
  after(() => {
    process.chdir(home)
    if (mirror === undefined) delete process.env.VISIONTORCH_WEIGHTS_URL
    else process.env.VISIONTORCH_WEIGHTS_URL = mirror
    return removeTemporaryFolders()
  })

  /** Runs a call to its end and returns the error, if any. */
  async function outcome(call: Call, args: readonly unknown[]): Promise<unknown> {
    try {
      const result = await call(...args)
      if (Symbol.asyncIterator in Object(result)) await (result as AsyncGenerator<unknown>).next()
      return undefined
    } catch (error) {
      return error
    }
  }

  it('throws only errors with a code for wrong values of every argument and option', async () => {
    const raw: string[] = []
    const codes = new Map<string, number>()
    for (const [name, [call, args, written = []]] of rows) {
      const attempt = async (given: readonly unknown[], where: string, value: unknown) => {
        const error = await outcome(call, given)
        if (error === undefined || (error as Error).name === 'AbortError') return
        if (!(error instanceof visiontorch.VisionTorchError)) {
          raw.push(`${name}, ${where} ${String(typeof value)}: ${String(error)}`)
          return
        }
        codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
        if (error.code !== 'ERR_INVALID_ARGUMENT' && typeof value !== 'string' && !Array.isArray(value))
          raw.push(`${name}, ${where} ${String(typeof value)}: ${error.code}: ${error.message}`)
      }
      const put = (position: number, value: unknown) => Object.assign([...args], { [position]: value })
      for (const [position, argument] of (args.length === 0 ? [undefined] : args).entries()) {
        for (const value of wrong) {
          if (written.includes(position) && typeof value === 'string') continue
          await attempt(put(position, value), `argument ${position}`, value)
        }
        if (Object.getPrototypeOf(argument ?? []) !== Object.prototype) continue
        for (const option of [...Object.keys(argument as object), 'unknown']) {
          for (const value of wrong) {
            const options = { ...(argument as object), [option]: value }
            await attempt(put(position, options), option, value)
          }
        }
      }
    }
    assert.deepEqual(raw, [])
    assert.ok(codes.get('ERR_INVALID_ARGUMENT')! > 1000)
  })

  it('refuses an unknown option', async () => {
    for (const [name, [call, args]] of rows) {
      const position = args.findIndex(
        (argument, i) => i === args.length - 1 && Object.getPrototypeOf(argument) === Object.prototype,
      )
      if (position === -1 || name === 'Model') continue
      const options = { ...(args[position] as object), sed: 1 }
      const error = (await outcome(call, args.with(position, options))) as Error
      assert.match(error?.message ?? 'nothing', /unknown option 'sed'/, name)
    }
    for (const call of shorthands) {
      assert.match(
        String(await outcome(call, [{ sed: 1 }])),
        /VisionTorchError: options: unknown option 'sed'/,
      )
      assert.match(String(await outcome(call, [5])), /VisionTorchError: options: expected an object, got 5/)
    }
  })
})
