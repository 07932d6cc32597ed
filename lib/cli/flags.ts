import type { Command } from 'commander'

/**
 * A message of the API in the words of a command: the options that it names become flags and arguments. `resume: true`
 * becomes `--resume`, `weights: null` `--weights none`, `optimizer.momentum` `--optimizer momentum`. What the command has
 * no flag for stays as it is.
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

/** Options that the command line calls by another name. */
const renamed: Readonly<Record<string, string>> = {
  architecture: 'model',
  imageSize: 'inputSize',
}

/** `--lr` for `learningRate`, `DATA` for an argument `data`. */
function flagOf(name: string, command: Command): string | undefined {
  const argument = command.registeredArguments.find(argument => argument.name().toLowerCase() === name)
  if (argument !== undefined) return name.toUpperCase()
  const option = command.options.find(option => option.attributeName() === (renamed[name] ?? name))
  return option?.short?.startsWith('--') ? option.short : option?.long // the shorter of two long names
}

/** How a value follows its flag: a switch has none. */
function wordOf(value: string | undefined): string {
  if (value === undefined || value === 'true' || value === 'false') return ''
  return value === 'null' ? ' none' : ` ${value.slice(1, -1)}`
}
