import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { evaluate } from '../../../lib/evaluate/evaluate.js'
import type { Model } from '../../../lib/model/model.js'
import { checkPredictionsFile, writePredictions } from '../../../lib/report/predictions.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { drawPhotos } from '../../support/photos.js'
import { smallNetwork } from '../../support/small-network.js'

describe('files of predictions', function () {
  this.timeout(60_000)
  let folder: string
  let model: Model
  before(async () => {
    folder = await temporaryFolder()
    await drawPhotos(join(folder, 'photos'), { train: 1, val: 2 })
    model = await smallNetwork()
    model.preprocessing = { ...model.preprocessing, resize: 36, crop: 32 }
  })
  after(async () => {
    model.dispose()
    await removeTemporaryFolders()
  })

  const write = (name: string) =>
    writePredictions(join(folder, name), model.classes, onPrediction =>
      evaluate(model, join(folder, 'photos'), { batchSize: 4, onPrediction }),
    )

  it(".jsonl: one line per image, in the data's order, with predict's scores", async () => {
    const { count, top1 } = await write('p.jsonl')
    const rows = (await readFile(join(folder, 'p.jsonl'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    assert.equal(rows.length, count)
    assert.equal(rows.filter(row => row.class === row.predicted).length / count, top1)
    for (const row of rows) {
      assert.deepEqual(Object.keys(row), ['file', 'class', 'predicted', 'scores'])
      assert.equal(row.file.split('/').at(-2), row.class)
      for (const { label, score } of await model.predict(row.file))
        assert.ok(Math.abs(row.scores[label] - score) <= 1e-6)
    }
  })

  it('.csv: one row per image below the class names, with the same numbers', async () => {
    await write('p.csv')
    await write('p.jsonl')
    const [header, ...rows] = (await readFile(join(folder, 'p.csv'), 'utf8')).trimEnd().split('\n')
    assert.equal(header, 'file,class,predicted,checks,columns,rows')
    const lines = (await readFile(join(folder, 'p.jsonl'), 'utf8')).trimEnd().split('\n')
    assert.deepEqual(
      rows,
      lines.map(line => {
        const { file, class: label, predicted, scores } = JSON.parse(line)
        return [file, label, predicted, ...Object.values(scores)].join()
      }),
    )
  })

  it('refuses another file extension, and a listener that is not a function', async () => {
    for (const path of ['p.txt', 'p', 'csv'])
      assert.throws(() => checkPredictionsFile(path), {
        code: 'ERR_INVALID_ARGUMENT',
        message: `predictions: expected a file name that ends in .csv or .jsonl, got ${path}`,
      })
    await assert.rejects(evaluate(model, join(folder, 'photos'), { onPrediction: 'p.csv' as never }), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /^onPrediction: expected a function/,
    })
  })

  it('leaves the old file, and nothing else, if the evaluation ends early or the file cannot be written', async () => {
    const home = join(folder, 'home')
    await mkdir(home)
    await writeFile(join(home, 'p.csv'), 'old')
    const reason = new Error('stopped')
    await assert.rejects(
      writePredictions(join(home, 'p.csv'), model.classes, async add => {
        await add({ file: 'a.png', label: 'a', predicted: 'b', scores: Float32Array.of(1) })
        throw reason
      }),
      error => error === reason,
    )
    assert.equal(await readFile(join(home, 'p.csv'), 'utf8'), 'old')
    assert.deepEqual(await readdir(home), ['p.csv'])
    await assert.rejects(write('none/p.csv'), { code: 'ERR_FILE_WRITE', message: /directory does not exist/ })
  })

  it('class names that a spreadsheet would run are written as text', async () => {
    const path = join(folder, 'formula.csv')
    await writePredictions(path, ['=1+1', 'a,b'], add =>
      add({ file: 'x.png', label: '=1+1', predicted: 'a,b', scores: Float32Array.of(0.25, 0.75) }),
    )
    assert.equal(
      await readFile(path, 'utf8'),
      `file,class,predicted,'=1+1,"a,b"\nx.png,'=1+1,"a,b",0.25,0.75\n`,
    )
  })
})
