import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const program = join(import.meta.dirname, '../../dist/cli/main.js')
const running = new Set<ServeProcess>()

/** The built `visiontorch serve` or `ui` in a process of its own, on a free port. */
export class ServeProcess {
  /** The parsed lines of its log. */
  readonly log: Record<string, unknown>[] = []
  stderr = ''
  url = ''
  readonly exited: Promise<number | null>

  private constructor(readonly child: ChildProcess) {
    let rest = ''
    child.stdout!.on('data', data => {
      const lines = (rest + data).split('\n')
      rest = lines.pop()!
      for (const line of lines) this.log.push(JSON.parse(line))
    })
    child.stderr!.on('data', data => {
      this.stderr += data
    })
    this.exited = once(child, 'exit').then(([code]) => code as number | null)
    running.add(this)
  }

  /** Starts it and waits until it serves. */
  static start(...args: string[]): Promise<ServeProcess> {
    return ServeProcess.#run(['serve', ...args])
  }

  /** Starts `visiontorch ui` in a folder, which its runs go to. */
  static startUi(cwd: string, ...args: string[]): Promise<ServeProcess> {
    return ServeProcess.#run(['ui', ...args], cwd)
  }

  static async #run(args: string[], cwd?: string): Promise<ServeProcess> {
    const child = spawn(process.execPath, [program, ...args, '--port', '0'], { cwd })
    const served = new ServeProcess(child)
    while (served.url === '') {
      const ended = await Promise.race([
        once(child.stderr!, 'data').then(() => false),
        served.exited.then(() => true),
      ])
      served.url = /(?:serving .* on|open) (http:\S+?)[; ]/.exec(served.stderr)?.[1] ?? ''
      if (ended && served.url === '') throw new Error(`it ended:\n${served.stderr}`)
    }
    return served
  }

  /** Waits for a line of the log. */
  async logs(message: string, count = 1): Promise<void> {
    while (this.log.filter(({ msg }) => msg === message).length < count) {
      const ended = await Promise.race([
        once(this.child.stdout!, 'data').then(() => false),
        this.exited.then(() => true),
      ])
      if (ended)
        throw new Error(`ended without '${message}':\n${this.stderr}${JSON.stringify(this.log.slice(-3))}`)
    }
  }

  predict(image: Buffer, query = '', headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}/predict${query}`, {
      method: 'POST',
      body: image,
      headers: { 'content-type': 'image/png', ...headers },
    })
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal)
    const code = await this.exited
    running.delete(this)
    return code
  }
}

/** Call in an `after`. */
export async function stopServing(): Promise<void> {
  for (const served of running) await served.stop('SIGKILL')
}
