import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

/** Whether script(1), which makes the terminals, is installed. */
export const hasTerminals = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0

/** A program that runs on a terminal of its own. */
export class Terminal {
  /** The process of script(1), which owns the terminal. */
  readonly child: ChildProcess
  /** Everything that the program has written. */
  screen = ''
  readonly #exited: Promise<unknown>

  /** @param command The words of the command line. */
  constructor(command: readonly string[], { columns = 120, env = {} as NodeJS.ProcessEnv } = {}) {
    const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...environment } = process.env
    const quoted = command.map(word => `'${word}'`).join(' ')
    this.child = spawn('script', ['-qec', `stty cols ${columns} rows 40; exec ${quoted}`, '/dev/null'], {
      env: { ...environment, TERM: 'xterm-256color', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#exited = once(this.child, 'exit')
    this.child.stdout!.on('data', chunk => {
      this.screen += chunk
    })
  }

  /** The output without control sequences. */
  get text(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it removes them
    return this.screen.replace(/\u001b\[[0-9;?]*[a-zA-Z]/g, '')
  }

  /** Waits until the program has written this. */
  async shows(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) {
      if (this.child.exitCode !== null)
        throw new Error(`ended (${this.child.exitCode}) without ${pattern}:\n${this.text}`)
      await Promise.race([once(this.child.stdout!, 'data'), this.#exited])
    }
  }

  pressCtrlC(): void {
    this.child.stdin!.write('\u0003')
  }

  /** Waits for the program to end and returns its exit code; 128 + n if signal n ended it. */
  async end(): Promise<number> {
    await this.#exited
    return this.child.exitCode!
  }
}
