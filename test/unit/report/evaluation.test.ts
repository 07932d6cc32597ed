import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { Metrics } from '../../../lib/evaluate/metrics.js'
import { drawClasses } from '../../../lib/report/class-chart.js'
import { writeEvaluation } from '../../../lib/report/evaluation.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'

/** Evaluates images: `pairs` has the class of each, and the predicted class. */
function evaluationOf(classes: readonly string[], pairs: readonly (readonly [number, number])[]) {
  const metrics = new Metrics(classes, 0)
  for (const [label, predicted] of pairs) {
    const logits = Float32Array.from(classes, (_, i) => (i === predicted ? 5 : 0))
    metrics.add(logits, Int32Array.of(label), ['a.png'])
  }
  return metrics.result()
}

describe('the files of an evaluation', function () {
  this.timeout(60_000)
  afterEach(removeTemporaryFolders)

  it('are charts of precision and recall, and the confusion matrix as CSV', async () => {
    const folder = join(await temporaryFolder(), 'out')
    const pairs = [
      [0, 0],
      [0, 1],
      [1, 1],
      [2, 1],
    ] as const
    await writeEvaluation(folder, evaluationOf(['=cat', 'a,b', 'cow'], pairs))
    assert.deepEqual((await readdir(folder)).sort(), [
      'classes.csv',
      'confusion_matrix.csv',
      'precision_recall.png',
    ])
    assert.equal(
      await readFile(join(folder, 'confusion_matrix.csv'), 'utf8'),
      `true class,'=cat,"a,b",cow\n'=cat,1,1,0\n"a,b",0,1,0\ncow,0,1,0\n`,
    )
    const { width, height } = await sharp(join(folder, 'precision_recall.png')).metadata()
    assert.ok(width > 1000 && height > 200, `${width} x ${height}`)
  })

  it('draw the worst classes first, and only these if there are many', async () => {
    const classes = Array.from({ length: 60 }, (_, i) => `class ${i}`)
    const pairs = classes.map((_, i) => [i, i < 50 ? i : 0] as const)
    const { svg, title } = await drawClasses(evaluationOf(classes, pairs))
    assert.equal(title, 'Precision and recall')
    const places = ['class 50', 'class 0', 'class 1', 'class 29'].map(name => svg.indexOf(`>${name}<`))
    assert.ok(places.every((place, i) => place > (places[i - 1] ?? 0)))
    assert.ok(!svg.includes('>class 49<'))
    assert.match(svg, /the 40 lowest of 60 classes/)
  })

  it('say why they cannot be written', async () => {
    const file = join(await temporaryFolder(), 'file')
    await writeFile(file, '')
    await assert.rejects(writeEvaluation(join(file, 'out'), evaluationOf(['a', 'b'], [[0, 0]])), {
      code: 'ERR_FILE_WRITE',
    })
  })
})
