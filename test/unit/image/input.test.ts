import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import sharp from 'sharp'
import { decode } from '../../../lib/image/decode.js'
import { Draw } from '../../../lib/image/draw.js'
import type { ImageInput } from '../../../lib/image/input.js'
import { preprocess } from '../../../lib/image/preprocess.js'
import { DEFAULT_PREPROCESSING } from '../../../lib/image/preprocessing.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'

const width = 20
const height = 12
const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 251)
const png = await sharp(rgb, { raw: { width, height, channels: 3 } })
  .png()
  .toBuffer()

describe('an image input', () => {
  const directory = mkdtempSync(join(tmpdir(), 'visiontorch-'))
  const file = join(directory, 'a b;ü.png')
  before(() => writeFileSync(file, png))
  after(() => rmSync(directory, { recursive: true }))

  const inputs: Record<string, () => ImageInput> = {
    'a path': () => file,
    'a file: URL': () => pathToFileURL(file),
    'a file: URL as a string': () => pathToFileURL(file).href,
    'a Buffer': () => png,
    'a Uint8Array': () => new Uint8Array(png),
    'an ArrayBuffer': () => new Uint8Array(png).buffer,
    'a Blob': () => new Blob([new Uint8Array(png)]),
    'a Node stream': () => createReadStream(file, { highWaterMark: 64 }),
    'a web stream': () => Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>,
    'a sharp instance': () => sharp(png),
    pixels: () => ({ data: rgb, width, height, channels: 3 }),
  }
  for (const [kind, input] of Object.entries(inputs)) {
    it(`may be ${kind}`, async () => {
      const pixels = await decode(input())
      assert.deepEqual([pixels.width, pixels.height, pixels.channels], [width, height, 3])
      assert.deepEqual(new Uint8Array(pixels.data), rgb)
    })
  }

  const failures: [string, () => ImageInput, string, RegExp][] = [
    ['a missing file', () => join(directory, 'none.jpg'), 'ERR_FILE_NOT_FOUND', /none\.jpg: no such file/],
    ['a directory', () => directory, 'ERR_FILE_READ', /expected a regular file, got a directory/],
    ['a device', () => '/dev/zero', 'ERR_FILE_READ', /expected a regular file, got a device/],
    ['a file that the kernel makes up', () => '/proc/self/mem', 'ERR_FILE_READ', /a file of \/proc/],
    ['an empty file', () => new Uint8Array(0), 'ERR_IMAGE_DECODE', /it is empty/],
    ['text', () => Buffer.from('This is not an image.'), 'ERR_IMAGE_DECODE', /it is text/],
    ['half a file', () => png.subarray(0, png.length >> 1), 'ERR_IMAGE_DECODE', /damaged/],
    ['a web address', () => 'https://localhost/cat.jpg', 'ERR_INVALID_ARGUMENT', /Fetch it first/],
    ['a number', () => 5 as never, 'ERR_INVALID_ARGUMENT', /expected a path, .* got 5/],
    [
      'pixels of another size',
      () => ({ data: rgb, width: 7, height, channels: 3 }),
      'ERR_INVALID_ARGUMENT',
      /width x height x channels = 252/,
    ],
  ]
  for (const [what, input, code, message] of failures) {
    it(`of ${what} is refused with ${code}`, async () => {
      await assert.rejects(decode(input()), { name: 'VisionTorchError', code, message })
    })
  }

  it('that is a named pipe or a socket is refused at once without blocking a thread', async () => {
    const pipe = join(directory, 'pipe.jpg')
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0)
    const socket = join(directory, 'socket.jpg')
    const server = createServer().listen(socket)
    try {
      // More than libuv has threads. If these blocked, no file could be read any more.
      for (let i = 0; i < 6; i++) {
        await assert.rejects(decode(pipe), {
          code: 'ERR_FILE_READ',
          message: /regular file, got a named pipe/,
        })
        await assert.rejects(decode(socket), { code: 'ERR_FILE_READ', message: /regular file, got a socket/ })
      }
      assert.equal((await decode(file)).width, width)
    } finally {
      server.close()
    }
  })

  it("of a failing stream is refused with the stream's error", async () => {
    const stream = new Readable({ read: () => stream.destroy(new Error('the network fell over')) })
    await assert.rejects(decode(stream), /the network fell over/)
  })

  it('of a stalled stream is given up when the signal is aborted', async () => {
    const controller = new AbortController()
    const stalled = [new Readable({ read() {} }), new ReadableStream<Uint8Array>({})]
    const decoding = stalled.map(stream => decode(stream, { signal: controller.signal }))
    controller.abort()
    for (const pending of decoding) await assert.rejects(pending, { name: 'AbortError' })
  })

  it('of random bytes after any signature is refused, and never hangs', async () => {
    const signatures = [
      'ffd8ff',
      '89504e470d0a1a0a',
      '474946383961',
      '52494646',
      '0000001c66747970',
      '49492a00',
      '',
    ]
    for (let i = 0; i < 140; i++) {
      const noise = Buffer.from(new Draw(i).shuffle(Array.from({ length: 200 }, (_, k) => (k * k) % 256)))
      const bytes = Buffer.concat([Buffer.from(signatures[i % signatures.length]!, 'hex'), noise])
      await assert.rejects(decode(bytes), { code: 'ERR_IMAGE_DECODE' })
    }
  })

  it('is not decoded once the signal is aborted', async () => {
    await assert.rejects(decode(png, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })
})

describe('decoding', () => {
  after(removeTemporaryFolders)

  it('keeps the high byte of 16-bit gray', async () => {
    const values = Uint16Array.from({ length: 256 }, (_, i) => i * 257)
    const gray16 = await sharp(values, { raw: { width: 16, height: 16, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer()
    assert.equal((await sharp(gray16).metadata()).depth, 'ushort')
    const { data } = await decode(gray16)
    assert.deepEqual([...data.subarray(0, 9)], [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert.equal(data[765], 255)
  })

  it('turns an image by its EXIF orientation only on request', async () => {
    const turned = await sharp(png).withMetadata({ orientation: 6 }).jpeg().toBuffer()
    assert.equal((await decode(turned)).width, width)
    assert.equal((await decode(turned, { autoOrient: true })).width, height)
  })

  it('with fastDecode returns about the requested shorter side, and never enlarges', async () => {
    const jpeg = await sharp(png).resize(400, 240).jpeg().toBuffer()
    const small = await decode(jpeg, { fastDecode: 60 })
    assert.deepEqual([small.width, small.height], [100, 60])
    assert.equal((await decode(jpeg, { fastDecode: 900 })).height, 240)
  })

  it('works again after sharp could not be loaded because of a lack of file descriptors', async () => {
    const path = join(await temporaryFolder(), 'a.png')
    writeFileSync(path, png)
    const child = `
      import { closeSync, openSync } from 'node:fs'
      import { loadSharp } from ${JSON.stringify(join(import.meta.dirname, '../../../lib/image/sharp.ts'))}
      const held = []
      try { for (;;) held.push(openSync('/dev/null')) } catch {}
      try { loadSharp() } catch ({ code, message }) { console.log(code, message) }
      held.forEach(closeSync)
      console.log((await loadSharp()(${JSON.stringify(path)}).metadata()).width)`
    const command = `ulimit -n 300; exec '${process.execPath}' --import tsx --input-type=module -`
    const { stdout, stderr } = spawnSync('sh', ['-c', command], { input: child, encoding: 'utf8' })
    assert.match(stdout, /^ERR_FILE_READ .* too many files are open\..*\n20\n$/, stderr)
  })

  it('refuses unknown options', async () => {
    await assert.rejects(decode(png, { autoorient: true } as never), /Did you mean 'autoOrient'/)
  })
})

describe('preprocess', () => {
  it('fills the padding with a colour', async () => {
    const bright = { data: new Uint8Array(3 * 40 * 20).fill(250), width: 40, height: 20, channels: 3 }
    for (const mode of ['pad', 'letterbox'] as const) {
      const gray = await preprocess(bright, { crop: 40, mode })
      assert.deepEqual([...gray.data.subarray(0, 3)], [128, 128, 128])
      const { data } = await preprocess(bright, { crop: 40, mode, fill: [1, 2, 3] })
      assert.deepEqual([...data.subarray(0, 3)], [1, 2, 3])
      assert.deepEqual([...data.subarray(20 * 40 * 3, 20 * 40 * 3 + 3)], [250, 250, 250])
    }
    const wrong = { code: 'ERR_INVALID_ARGUMENT' }
    for (const fill of [[1, 2], [1, 2, 256], 'red', [1, 2, 0.5], null])
      await assert.rejects(preprocess(bright, { fill } as never), {
        ...wrong,
        message: /fill: expected three integers/,
      })
    await assert.rejects(preprocess(bright, 'classification-pytorhc' as never), {
      message: /Did you mean 'classification-pytorch'/,
    })
  })

  it('returns the square that the network sees, for any number of channels', async () => {
    for (const channels of [1, 3, 4]) {
      const data = new Uint8Array(width * height * channels).fill(77)
      const seen = await preprocess({ data, width, height, channels })
      assert.deepEqual([seen.width, seen.height], [224, 224])
      assert.ok(seen.data.length === 224 * 224 * 3 && seen.data.every(v => v === 77))
    }
  })

  it('crops, pads or squishes', async () => {
    const bright = { data: new Uint8Array(width * height * 3).fill(255), width, height, channels: 3 }
    const row = async (mode: 'crop' | 'pad' | 'squish', y: number) => {
      const seen = await preprocess(bright, { resize: 40, crop: 40, mode })
      return seen.data[y * 40 * 3]
    }
    assert.equal(await row('crop', 0), 255)
    assert.equal(await row('squish', 0), 255)
    assert.deepEqual(await Promise.all([0, 7, 8, 31, 32].map(y => row('pad', y))), [128, 128, 255, 255, 128])
  })

  it('survives the most extreme proportions', async () => {
    const line = { data: new Uint8Array(60000 * 3).fill(9), width: 1, height: 60000, channels: 3 }
    for (const mode of ['crop', 'pad', 'squish'] as const) {
      assert.equal((await preprocess(line, { mode })).data.length, 224 * 224 * 3)
    }
  })

  it('names the wrong field', async () => {
    const wrong = (preprocessing: object) => preprocess(png, preprocessing)
    await assert.rejects(wrong({ crop: 0 }), /preprocessing\.crop: expected an integer from 32/)
    await assert.rejects(wrong({ resize: 100 }), /preprocessing\.resize: expected an integer from 224/)
    await assert.rejects(wrong({ std: [1, 1, 0] }), /preprocessing\.std: expected three numbers/)
    await assert.rejects(wrong({ mode: 'croop' }), /Did you mean 'crop'/)
    assert.equal(DEFAULT_PREPROCESSING.crop, 224)
  })
})
