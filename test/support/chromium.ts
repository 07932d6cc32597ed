import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The path of Chromium, or undefined: `VISIONTORCH_TEST_CHROMIUM`, or the first of its usual names in PATH. */
export const chromiumPath = find()

function find(): string | undefined {
  const { VISIONTORCH_TEST_CHROMIUM: named, PATH = '' } = process.env
  if (named) return named
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
  return PATH.split(delimiter)
    .flatMap(directory => names.map(name => join(directory, name)))
    .find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
