import assert from 'node:assert/strict'
import { printable } from '../../../lib/util/text.js'

describe('printable', () => {
  it('keeps ordinary text of any script', () => {
    assert.equal(printable("Grüße, 猫 and 🐈: 'cat'"), "Grüße, 猫 and 🐈: 'cat'")
  })
  it('keeps joiners, which emoji and several scripts need', () => {
    assert.equal(printable('👩\u200d🌾 می\u200cخواهم'), '👩\u200d🌾 می\u200cخواهم')
  })
  it('escapes control characters, C1 included, and line breaks', () => {
    assert.equal(printable('a\u001b[31m\n\u009b2J\u2028'), 'a\\u{1b}[31m\\u{a}\\u{9b}2J\\u{2028}')
  })
  it('escapes bidirectional and zero-width characters, and lone surrogates', () => {
    assert.equal(printable('\u202egnp.exe\u200b\ud800'), '\\u{202e}gnp.exe\\u{200b}\\u{d800}')
  })
  it('shortens a long text to 200 characters', () => {
    assert.equal(printable('k'.repeat(200)), 'k'.repeat(200))
    assert.equal(printable('k'.repeat(201)), `${'k'.repeat(199)}…`)
    assert.equal(printable('🐈'.repeat(1_000_000)), `${'🐈'.repeat(199)}…`)
    assert.equal(printable('abcdef', 4), 'abc…')
  })
})
