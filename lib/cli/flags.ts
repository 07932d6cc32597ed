import type { Command } from 'commander'

/**
 * Rewrites an API message for a command: the options that it names become flags and arguments. `resume: true` becomes
 * `--resume`, `weights: null` becomes `--weights none`, and `optimizer.momentum` becomes `--optimizer momentum`. Options
 * for which the command has no flag stay as they are.
 */
export function inFlags(message: string, options: readonly string[], command: Command): string {
  return options.reduce((text, name) => {
    const flag = flagOf(name, command)
    if (flag === undefined) return text
    const use = new RegExp(`(?<![\\w.'/-])${name}(?:\\.(\\w+)|: (true|false|null|'[^']*'))?(?![\\w/-])`, 'g')
    return text.replace(use, (_, key: string | undefined, value: string | undefined) =>
      key !== undefined ? `${flag} ${key}` : `${flag}${wordOf(value)}`,
    )
  }, message)
}

/** Options that have a different name on the command line. */
const renamed: Readonly<Record<string, string>> = {
  architecture: 'model',
  imageSize: 'inputSize',
  calibration: 'calibrate',
}

/** `--lr` for `learningRate`, `DATA` for an argument `data`. */
function flagOf(name: string, command: Command): string | undefined {
  const argument = command.registeredArguments.find(argument => argument.name().toLowerCase() === name)
  if (argument !== undefined) return name.toUpperCase()
  const option = command.options.find(option => option.attributeName() === (renamed[name] ?? name))
  return option?.short?.startsWith('--') ? option.short : option?.long // the shorter of two long names
}

/** The text of a value after its flag; a switch has none. */
function wordOf(value: string | undefined): string {
  if (value === undefined || value === 'true' || value === 'false') return ''
  return value === 'null' ? ' none' : ` ${value.slice(1, -1)}`
}
