import { Command, CommanderError, type Help } from 'commander'
import { VisionTorchError } from '../util/errors.js'
import { packageManifest } from '../util/package.js'
import { annotateCommand } from './annotate.js'
import { benchCommand } from './bench.js'
import { convertCommand } from './convert.js'
import { doctorCommand } from './doctor.js'
import { evaluateCommand } from './evaluate.js'
import { exportCommand } from './export.js'
import { inFlags } from './flags.js'
import { inspectCommand } from './inspect.js'
import { interruptCode, isAbort } from './interrupt.js'
import { libtorchCommand } from './libtorch.js'
import { flushOutput, outputFailure, outputSignal, watchOutput } from './output.js'
import { predictCommand } from './predict.js'
import { previewCommand } from './preview.js'
import { quantizeCommand } from './quantize.js'
import { serveCommand } from './serve.js'
import { summaryCommand } from './summary.js'
import { fail, setQuiet } from './terminal.js'
import { trainCommand } from './train.js'
import { uiCommand } from './ui.js'
import { weightsCommand } from './weights.js'

/** The functions that create the commands, in the order of the help. */
const commands: readonly (() => Command)[] = [
  trainCommand,
  predictCommand,
  inspectCommand,
  convertCommand,
  evaluateCommand,
  quantizeCommand,
  serveCommand,
  uiCommand,
  summaryCommand,
  exportCommand,
  weightsCommand,
  annotateCommand,
  previewCommand,
  libtorchCommand,
  doctorCommand,
  benchCommand,
]

/**
 * Runs the command line, waits until its output is written, and sets `process.exitCode`: 0 for success, 1 for failure, 2 for
 * wrong usage, 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
 */
export async function run(args: readonly string[]): Promise<void> {
  watchOutput()
  const program = createProgram()
  let running = program
  const note = (_: Command, command: Command) => {
    running = command
  }
  program.hook('preSubcommand', note).hook('preAction', note)
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = report(error, running, program.opts().verbose === true)
  }
  await flushOutput()
  const failure = outputFailure()
  if (failure === undefined || interruptCode() !== undefined) return
  fail(failure.message)
  process.exitCode = 1
}

function createProgram(): Command {
  const { version } = packageManifest()
  const program = new Command('visiontorch')
    .description("Image classification on LibTorch: train, evaluate and run torchvision's networks.")
    .version(version, '-V, --version', 'print the version')
    .option('--quiet', 'print no progress and no notes on stderr')
    .option('--verbose', 'print stack traces of errors')
    .configureHelp({ showGlobalOptions: true, minWidthToWrap: 10, formatItem })
    .configureOutput({ outputError: (text, write) => write(`${oneLine(text)} (--help shows the usage)\n`) })
    .exitOverride()
    .hook('preAction', command => setQuiet(command.opts().quiet === true))
  for (const command of commands) program.addCommand(adopt(command(), program))
  return program
}

/** Joins the lines of a message from commander, which puts its suggestion on a separate line. */
const oneLine = (text: string): string => text.trim().replace(/\s*\n\s*/g, ' ')

/** Formats an option and its description: side by side if there is room, otherwise on separate lines. */
function formatItem(term: string, termWidth: number, description: string, help: Help): string {
  const width = help.helpWidth ?? 80
  const column = width < 70 ? 4 : Math.min(termWidth, 30)
  const indent = ' '.repeat(column + 4)
  const lines = help.boxWrap(description, width - indent.length).split('\n')
  if (help.displayWidth(term) > column) return [`  ${term}`, ...lines.map(line => indent + line)].join('\n')
  return [`  ${term.padEnd(column)}  ${lines[0]}`, ...lines.slice(1).map(line => indent + line)].join('\n')
}

/** Makes a command and its subcommands inherit the program's settings, such as how to exit. */
function adopt(command: Command, program: Command): Command {
  for (const child of command.commands) adopt(child, program)
  return command.copyInheritedSettings(program)
}

/** Prints one line that names the cause and the remedy, and returns the exit code. */
function report(error: unknown, command: Command, verbose: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // commander has printed it
  if (isAbort(error)) {
    const code = interruptCode()
    if (code !== undefined) process.stderr.write('interrupted\n')
    if (code !== undefined || outputSignal.aborted) return code ?? 0 // run() says why the output failed
  }
  if (error instanceof VisionTorchError) fail(inFlags(error.message, error.options, command))
  else fail(error instanceof Error ? error.message : String(error))
  if (verbose) console.error(error)
  else if (!(error instanceof VisionTorchError)) process.stderr.write('(--verbose prints the stack)\n')
  return error instanceof VisionTorchError && error.code === 'ERR_INVALID_ARGUMENT' ? 2 : 1
}
