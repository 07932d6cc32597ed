import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFile, rename, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createModel, imagenetClasses, loadModel, predict } from '../../lib/index.js'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { ServeProcess, stopServing } from '../support/serve-process.js'
import { answerOf, picture } from '../support/serving.js'
import { tinyModel } from '../support/tiny-model.js'

const program = join(import.meta.dirname, '../../dist/cli/main.js')

describe('visiontorch serve', function () {
  this.timeout(120_000)
  let folder: string
  let first: string
  let second: string
  let image: Buffer
  before(async () => {
    buildDist()
    folder = await temporaryFolder()
    first = join(folder, 'first.pth')
    second = join(folder, 'second.pth')
    using one = await tinyModel({ seed: 1 })
    await one.save(first)
    using two = await tinyModel({ seed: 2 })
    await two.save(second)
    image = await picture(1)
  })
  after(async () => {
    await stopServing()
    await removeTemporaryFolders()
  })

  const expected = async (checkpoint: string) => {
    using model = await loadModel(checkpoint)
    return await predict(model, image)
  }
  const text = async (url: string, headers = {}) => (await fetch(url, { headers })).text()

  describe('a server of two models', () => {
    let served: ServeProcess
    before(async () => {
      served = await ServeProcess.start(
        '--checkpoint',
        first,
        '--checkpoint',
        `other=${second}`,
        '--threads',
        '1',
      )
    })

    it('predicts with each', async () => {
      const one = await answerOf(await served.predict(image, '?model=first'))
      assert.deepEqual(one.predictions, await expected(first))
      const two = await answerOf(await served.predict(image, '?model=other'))
      assert.deepEqual(two.predictions, await expected(second))
    })

    it('is live and ready, and describes its models and routes', async () => {
      assert.equal((await fetch(`${served.url}/v2/health/live`)).status, 200)
      assert.equal((await fetch(`${served.url}/v2/health/ready`)).status, 200)
      const { models } = JSON.parse(await text(`${served.url}/models`))
      assert.deepEqual(
        models.map(({ name }: { name: string }) => name),
        ['first', 'other'],
      )
      assert.deepEqual(models[0].classes, ['ant', 'bee', 'cow'])
      const { openapi, paths } = JSON.parse(await text(`${served.url}/openapi.json`))
      assert.equal(openapi, '3.1.0')
      for (const path of Object.keys(paths).filter(path => !path.includes('{')))
        assert.notEqual((await fetch(served.url + path)).status, 404, path)
    })

    it("counts requests, images, batches and errors in Prometheus' format", async () => {
      await served.predict(Buffer.from('no image'), '?model=first')
      await fetch(`${served.url}/no/such/path`)
      const metrics = await text(`${served.url}/metrics`)
      for (const pattern of [
        /^visiontorch_requests_total\{route="\/predict",method="POST",status="422"\} 1$/m,
        /^visiontorch_requests_total\{route="none",method="GET",status="404"\} 1$/m,
        /^visiontorch_images_total\{model="first"\} \d+$/m,
        /^visiontorch_batch_images_bucket\{le="1",model="other"\} \d+$/m,
        /^visiontorch_request_seconds_count\{route="\/predict"\} \d+$/m,
        /^visiontorch_errors_total\{code="ERR_IMAGE_DECODE"\} 1$/m,
        /^visiontorch_queue_images 0$/m,
        /^process_resident_memory_bytes \d+$/m,
        /^nodejs_eventloop_lag_p99_seconds [\d.e-]+$/m,
      ])
        assert.match(metrics, pattern)
    })

    it('logs one line of JSON per request, with its id', async () => {
      await served.predict(image, '?model=first', { 'x-request-id': 'my-request' })
      await served.logs('request')
      await sleep(50)
      const line = served.log.find(({ requestId }) => requestId === 'my-request')!
      assert.deepEqual([line.method, line.path, line.status, line.level], ['POST', '/predict', 200, 30])
      assert.ok(Number(line.milliseconds) > 0)
    })

    it('answers only to the names of the loopback interface, against DNS rebinding', async () => {
      const { port } = new URL(served.url)
      const ask = (host: string) =>
        new Promise<number | undefined>((resolve, reject) => {
          const options = { port, host: '127.0.0.1', path: '/models', headers: { host } }
          request(options, response => resolve(response.resume().statusCode))
            .on('error', reject)
            .end()
        })
      assert.equal(await ask(`localhost:${port}`), 200)
      assert.equal(await ask(`evil.example:${port}`), 403)
    })
  })

  it('serves official weights', async () => {
    using network = await createModel('squeezenet1_1')
    await network.save(join(folder, 'squeezenet1_1-f364aa15.pth'), { format: 'state_dict' })
    const weights = 'net=squeezenet1_1-f364aa15.pth' // `squeezenet1_1` means the newer file, whose size is known
    const served = await ServeProcess.start('--model', weights, '--weights-dir', folder)
    const { model, predictions } = await answerOf(await served.predict(image))
    assert.equal(model, 'net')
    assert.ok(imagenetClasses().includes(predictions[0]!.label))
    const load = `${served.url}/v2/repository/models/net/load`
    assert.equal((await fetch(load, { method: 'POST' })).status, 200)
    assert.equal(await served.stop(), 0)
  })

  it('drains on SIGTERM: it is unready at once, and no request fails', async () => {
    const served = await ServeProcess.start('--checkpoint', first, '--threads', '1', '--grace', '5')
    const statuses: number[] = []
    let isDraining = false
    const client = async () => {
      while (!isDraining) statuses.push((await served.predict(image)).status)
    }
    const clients = Array.from({ length: 8 }, client)
    await sleep(300)
    served.child.kill('SIGTERM')
    await served.logs('draining')
    assert.equal((await fetch(`${served.url}/v2/health/ready`)).status, 503)
    assert.equal((await fetch(`${served.url}/v2/health/live`)).status, 200)
    await sleep(200) // the time that a load balancer needs to notice
    isDraining = true
    await Promise.all(clients)
    assert.equal(await served.exited, 0)
    assert.ok(statuses.length > 20)
    assert.deepEqual(
      statuses.filter(status => status !== 200),
      [],
    )
  })

  it('reloads ten times under load without a failed request', async () => {
    const path = join(folder, 'reloaded.pth')
    await copyFile(first, path)
    const served = await ServeProcess.start('--checkpoint', path, '--threads', '1', '--no-watch')
    const known = [await expected(first), await expected(second)].map(value => JSON.stringify(value))
    let isDone = false
    const seen = new Set<string>()
    const client = async () => {
      while (!isDone) {
        const response = await served.predict(image)
        assert.equal(response.status, 200)
        const { predictions } = await answerOf(response)
        seen.add(JSON.stringify(predictions))
      }
    }
    const clients = Array.from({ length: 4 }, client)
    for (let i = 0; i < 10; i++) {
      await copyFile(i % 2 === 0 ? second : first, `${path}.new`)
      await rename(`${path}.new`, path)
      served.child.kill('SIGHUP')
      await served.logs('model reloaded', i + 1)
    }
    isDone = true
    await Promise.all(clients)
    assert.deepEqual([...seen].sort(), known.sort())
    assert.equal((await answerOf(await served.predict(image))).version, 11)
    assert.equal(await served.stop(), 0)
  })

  it('reloads the model that POST /v2/repository/models/{name}/load names', async () => {
    const path = join(folder, 'loaded.pth')
    await copyFile(first, path)
    const served = await ServeProcess.start('--checkpoint', path, '--threads', '1', '--no-watch')
    const load = (name: string) =>
      fetch(`${served.url}/v2/repository/models/${name}/load`, { method: 'POST' })
    await copyFile(second, path)
    assert.equal((await load('loaded')).status, 200)
    assert.deepEqual((await answerOf(await served.predict(image))).predictions, await expected(second))
    assert.equal((await load(encodeURIComponent('../first'))).status, 404)
    await writeFile(path, 'not a checkpoint')
    const refused = await load('loaded')
    assert.equal(refused.status, 500)
    assert.ok(!(await refused.text()).includes(folder), 'a path of the server')
    assert.deepEqual((await answerOf(await served.predict(image))).predictions, await expected(second))
    assert.equal(await served.stop(), 0)
  })

  it('reloads a changed file, and keeps the old model if the new file cannot be used', async () => {
    const path = join(folder, 'watched.pth')
    await copyFile(first, path)
    const served = await ServeProcess.start('--checkpoint', path, '--threads', '1')
    await sleep(1100) // so that the time of the file changes
    await writeFile(path, 'not a checkpoint')
    await served.logs('model not reloaded; the old one stays in use')
    assert.deepEqual((await answerOf(await served.predict(image))).predictions, await expected(first))
    await copyFile(second, path)
    await served.logs('model reloaded')
    assert.deepEqual((await answerOf(await served.predict(image))).predictions, await expected(second))
    assert.equal(await served.stop(), 0)
  })

  it('runs several processes behind one port, and adds up their metrics', async () => {
    const path = join(folder, 'shared.pth')
    await copyFile(first, path)
    const served = await ServeProcess.start(
      '--checkpoint',
      path,
      '--workers',
      '2',
      '--no-watch',
      '--grace',
      '5',
    )
    const answers = await Promise.all(Array.from({ length: 24 }, () => served.predict(image)))
    assert.ok(answers.every(({ status }) => status === 200))
    await sleep(50)
    assert.ok(new Set(served.log.map(({ pid }) => pid)).size === 2, 'one process answered everything')
    assert.match(await text(`${served.url}/metrics`), /^visiontorch_images_total\{model="shared"\} 24$/m)
    await copyFile(second, path)
    served.child.kill('SIGHUP')
    await served.logs('model reloaded', 2)
    const after = await Promise.all(Array.from({ length: 8 }, () => served.predict(image).then(answerOf)))
    const predictions = await expected(second)
    for (const answer of after) assert.deepEqual(answer.predictions, predictions)
    assert.equal(await served.stop(), 0)
  })

  it('requires the key of --api-key, except for health checks', async () => {
    const served = await ServeProcess.start(
      '--checkpoint',
      first,
      '--threads',
      '1',
      '--api-key',
      'secret,other',
    )
    assert.equal((await served.predict(image)).status, 401)
    assert.equal((await fetch(`${served.url}/metrics`)).status, 401)
    assert.equal((await fetch(`${served.url}/v2/health/ready`)).status, 200)
    assert.equal((await served.predict(image, '', { authorization: 'Bearer other' })).status, 200)
    assert.equal(await served.stop('SIGINT'), 0)
  })

  it('says in one line why it cannot start', async () => {
    const served = await ServeProcess.start('--checkpoint', first, '--threads', '1')
    const { port } = new URL(served.url)
    const runs: [string[], number, RegExp][] = [
      [
        ['--checkpoint', first, '--port', port],
        2,
        /cannot listen on 127.0.0.1:\d+: another program listens there/,
      ],
      [['--checkpoint', join(folder, 'none.pth')], 1, /none.pth/],
      [['--checkpoint', first, '--checkpoint', first], 2, /Two models are called 'first'/],
      [[], 2, /expected --checkpoint FILE, or --model NAME/],
      [['--model', 'resnet5'], 2, /^error: --model: expected .* got 'resnet5'. Did you mean/],
      [['--model', 'resnet50.V3'], 2, /^error: --model: expected one of DEFAULT, .* got 'V3'/],
      [
        ['--checkpoint', first, '--max-files', '300'],
        2,
        /--max-files: expected at most --max-queue \(256\), got 300/,
      ],
      [['--checkpoint', join(folder, 'none.pth'), '--workers', '2'], 1, /none.pth/],
    ]
    for (const [args, code, message] of runs) {
      const { status, stderr } = spawnSync(process.execPath, [program, 'serve', ...args], {
        encoding: 'utf8',
      })
      assert.equal(status, code, stderr)
      assert.match(stderr, message)
    }
  })
})
