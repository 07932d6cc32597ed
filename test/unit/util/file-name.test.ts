import assert from 'node:assert/strict'
import { Draw } from '../../../lib/image/draw.js'
import { decodeName, encodeName, escapeName, toPath, unescapeName } from '../../../lib/util/file-name.js'

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

describe('a file name', () => {
  it('in UTF-8 is its text', () => {
    for (const name of ['', 'cat.jpg', 'Groß 猫 🐈.jpg', 'a;b\n\u2028']) {
      assert.equal(decodeName(Buffer.from(name)), name)
      assert.deepEqual(encodeName(name), Buffer.from(name))
      assert.equal(toPath(name), name)
    }
  })

  it('that is not UTF-8 has a lone surrogate for each invalid byte, as in Python', () => {
    const names: [Buffer, string][] = [
      [latin1('Gro\xdf.jpg'), 'Gro\udcdf.jpg'],
      [Buffer.concat([Buffer.from('ß🐈'), latin1('\xdf')]), 'ß🐈\udcdf'],
      [latin1('\xf0\x9f\x90'), '\udcf0\udc9f\udc90'], // a character that is cut off
      [latin1('\xc0\xaf'), '\udcc0\udcaf'], // overlong
      [latin1('\xed\xb3\x9f'), '\udced\udcb3\udc9f'], // a surrogate
    ]
    for (const [bytes, name] of names) {
      assert.equal(decodeName(bytes), name)
      assert.deepEqual(toPath(name), bytes)
    }
  })

  it('converts back to its bytes, whatever they are', () => {
    for (let seed = 0; seed < 500; seed++) {
      const draw = new Draw(seed)
      const bytes = Buffer.from(
        Array.from({ length: 12 }, () => draw.choice([65, 0x80, 0xbf, 0xdf, 0xed, 0xf0])),
      )
      assert.deepEqual(encodeName(decodeName(bytes)), bytes)
    }
  })

  it('is escaped if text must be Unicode, and read back', () => {
    assert.equal(escapeName('Gro\udcdf 🐈'), 'Gro\\u{dcdf} 🐈')
    assert.equal(unescapeName('Gro\\u{dcdf} 🐈'), 'Gro\udcdf 🐈')
    assert.equal(unescapeName('\\u{41}'), '\\u{41}')
  })
})
