import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { skip } from '../support/skip.js'
import { hasTerminals, Terminal } from '../support/terminal.js'

const run = promisify(execFile)
const program = [process.execPath, '--import', 'tsx', 'test/support/play-training.ts']
const esc = '\u001b'

describe('the progress of training', () => {
  it('is one line per epoch without a terminal, with the result on stdout', async () => {
    const { stdout, stderr } = await play([])
    assert.ok(!`${stdout}${stderr}`.includes(esc))
    const lines = stderr.trimEnd().split('\n')
    assert.deepEqual(
      lines.map(line => line.trim().replace(/\s+/g, ' ')),
      [
        'mobilenet_v2 on cpu: 6 classes, 1,600 training images, 400 validation images',
        'writing files to runs/mobilenet_v2-1',
        'epoch loss acc val loss val acc top 5 lr img/s time',
        '1/4 0.745 68.1% 0.932 66.4% 93.9% 0.008536 148 12 s best',
        'warning: roses/broken.jpg was left out',
        '2/4 0.328 87.0% 0.446 80.7% 97.7% 0.005 148 12 s best',
        '3/4 0.175 94.0% 0.356 90.4% 99.2% 0.001464 144 12 s',
        '4/4 0.119 96.5% 0.285 92.0% 99.7% 0 138 12 s best',
      ],
    )
    assert.match(stdout, /accuracy +92\.0% +92\.0%\n/)
    assert.match(stdout, /done in 48 s; files in runs\/mobilenet_v2-1\n$/)
  })

  it('omits the top-5 accuracy for five classes', async () => {
    const { stdout, stderr } = await play(['--five'])
    assert.match(stderr, /val loss +val acc +lr +img\/s/)
    assert.match(stderr, /1\/4 +0\.745 +68\.1% +0\.932 +66\.4% +0\.008536/)
    assert.doesNotMatch(`${stdout}${stderr}`, /top 5/)
  })

  it('says why a run ended early', async () => {
    const { stdout } = await play(['--early'])
    assert.match(stdout, /stopped early after 48 s, because nothing improved/)
  })

  it('shows only warnings and the result with --quiet', async () => {
    const { stdout, stderr } = await play(['--quiet'])
    assert.equal(stderr, 'warning: roses/broken.jpg was left out\n')
    assert.match(stdout, /accuracy/)
  })

  describe(`on a terminal`, () => {
    before(function () {
      if (!hasTerminals) skip(this, 'script(1) is not installed')
    })

    it('is a bar with the step, loss, accuracy, learning rate, speed and remaining time', async () => {
      const { screen, text } = await playOnTerminal({})
      assert.match(
        text,
        /2\/4 ━+─+ \d+\/25 {2}loss 0\.328 {2}acc 87\.0% {2}lr 0\.005 {2}148 img\/s {2}[\d.:]+( s)? left/,
      )
      assert.match(text, /25\/25 {2}validating/)
      assert.ok(screen.includes(`${esc}[32m`), 'no colours')
    })

    it('has no colours and moves no cursor with NO_COLOR', async () => {
      const { screen } = await playOnTerminal({ NO_COLOR: '1' })
      assert.match(screen, /━/)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
      assert.doesNotMatch(screen, /\u001b\[[0-9;]*m/)
      assert.ok(!screen.includes(`${esc}[?25`))
    })

    it('fits into 40 columns', async () => {
      const { text } = await playOnTerminal({ NO_COLOR: '1' }, 40)
      assert.match(text, /^2\/4 ━+─+ \d+\/25 {2}loss 0\.328 {2}[\d.:]+( s)? left\r$/m)
      assert.match(text, /^1\/4 {2}loss 0\.745 {2}acc 68\.1%\r\n {2}val loss 0\.932 {2}val acc 66\.4%\r$/m)
      const table = text.slice(text.indexOf('2/4'))
      for (const line of table.split('\r\n')) {
        const isSentence = /^(warning|done|files)/.test(line) // the terminal wraps sentences
        assert.ok(line.length <= 40 || isSentence, line)
      }
    })
  })
})

function play(args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run(program[0]!, [...program.slice(1), ...args], { env: environment({}) })
}

async function playOnTerminal(env: NodeJS.ProcessEnv, columns = 120): Promise<Terminal> {
  const terminal = new Terminal(program, { columns, env })
  assert.equal(await terminal.end(), 0, terminal.text)
  return terminal
}

function environment(extra: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...rest } = process.env
  return { ...rest, ...extra }
}
