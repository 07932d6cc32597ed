import assert from 'node:assert/strict'
import { join } from 'node:path'
import { readClasses } from '../../../lib/data/class-names.js'
import { createModel } from '../../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder, writeFiles } from '../../support/folder.js'
import { tinyOptions } from '../../support/tiny-model.js'

describe('a list of classes', () => {
  afterEach(removeTemporaryFolders)

  const read = async (content: string | Uint8Array) => {
    const root = await temporaryFolder()
    await writeFiles(root, { 'classes.txt': content })
    return readClasses(join(root, 'classes.txt'))
  }
  const refused = (content: string | Uint8Array, message: RegExp) =>
    assert.rejects(read(content), { code: 'ERR_DATASET', message })

  const names = ['猫', 'a dog']
  for (const [name, content] of Object.entries<string | Uint8Array>({
    'UTF-8': '猫\na dog\n',
    'UTF-8 with a byte order mark and CRLF': '\ufeff猫\r\na dog\r\n\r\n',
    'UTF-16, little endian': Buffer.from('\ufeff猫\r\na dog\r\n', 'utf16le'),
    'UTF-16, big endian': Buffer.from('\ufeff猫\na dog\n', 'utf16le').swap16(),
    "old Macs' line ends": '猫\ra dog\r',
    'spaces around names': ' 猫\t\na dog  \n',
  })) {
    it(`is read from ${name}`, async () => assert.deepEqual(await read(content), names))
  }

  it('in another encoding is refused, with the line and how it reads in the likely encoding', async () => {
    const gbk = Buffer.of(0xc3, 0xa8, 0x0a, 0xb9, 0xb7, 0x0a) // the first line happens to be UTF-8, too
    await refused(gbk, /classes\.txt:2: is not UTF-8\. It reads '狗' if it is GBK\. .*iconv -f GBK -t UTF-8/)
    const shiftJis = Buffer.of(0x94, 0x4c, 0x0a, 0x8c, 0xa2)
    await refused(shiftJis, /classes\.txt:1: .*'猫' if it is SHIFT_JIS/)
    await refused(Buffer.from('ant\nGro\xdf\n', 'latin1'), /classes\.txt:2: .*'Groß' if it is WINDOWS-1252/)
    await refused(Buffer.from('ant\nbee\n', 'utf16le'), /classes\.txt:1: contains zero bytes.*UTF-16/)
  })

  it('with an invalid name is refused, with the line', async () => {
    await refused('a\n\nb\n', /classes\.txt:2: is empty, but every line counts as a class/)
    await refused('a\nb\u2028c\n', /classes\.txt:2: the class name 'b\\u\{2028\}c' contains a line break/)
    await refused('a\nb\x1b[2J\n', /:2: the class name 'b\\u\{1b\}\[2J' contains a control character/)
    await refused('a\nb\ufffd\n', /:2: .* contains U\+FFFD/)
    await refused('a\nb\na\n', /expected different class names, but numbers 1 and 3 are both 'a'/)
    await refused('a\n', /expected at least two class names, one per line, got 1/)
  })

  it('of a model is refused at once if a name has a line break', async () => {
    await assert.rejects(createModel('mobilenet_v2', { ...tinyOptions, classes: ['a', 'b\nc'] }), {
      code: 'ERR_INVALID_ARGUMENT',
      message: "classes[1]: the class name 'b\\u{a}c' contains a line break. Rename the class",
    })
  })
})
