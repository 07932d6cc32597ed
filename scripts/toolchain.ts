// What building the addon needs of the machine: CMake, a compiler of C++20, and libjpeg-turbo.
import { spawnSync } from 'node:child_process'
import { fail } from './fail.js'

const CMAKE = [3, 22] as const // as CMakeLists.txt asks for

/** Ends with a remedy when something is missing. */
export function checkToolchain(): void {
  const cmake = spawnSync('cmake', ['--version'], { encoding: 'utf8' })
  const version = /version (\d+)\.(\d+)/
    .exec(cmake.stdout ?? '')
    ?.slice(1)
    .map(Number)
  if (version === undefined || version[0]! * 1000 + version[1]! < CMAKE[0] * 1000 + CMAKE[1])
    fail(
      `CMake ${CMAKE.join('.')} or newer is needed to build the addon; ${version ? `found ${version.join('.')}` : 'found none'}.`,
      'Install it: apt-get install cmake (Debian, Ubuntu), dnf install cmake (Fedora), or pip install cmake.',
    )
  if (!['make', 'ninja'].some(tool => spawnSync(tool, ['--version']).status === 0))
    fail('make or Ninja is needed to build the addon; found neither.', 'Install one: apt-get install make.')

  // CMake's own order
  const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++']
  const compiler = compilers.find(name => spawnSync(name, ['--version']).status === 0)
  const program = '#include <concepts>\nstatic_assert(std::same_as<int, int> && __cplusplus >= 202002L);\n'
  const compile = (input: string) =>
    compiler === undefined
      ? null
      : spawnSync(compiler, ['-std=c++20', '-x', 'c++', '-fsyntax-only', '-'], { input, encoding: 'utf8' })
  const compiled = compile(program)
  if (compiled?.status !== 0)
    fail(
      `A compiler of C++20 is needed to build the addon; ${compiler ? `${compiler} is none:\n${compiled?.stderr}` : `found no ${compilers.join(', ')}.`}`,
      'Install one: apt-get install g++ (12 or newer), or name it in CXX.',
    )
  if (compile('#include <cstdio>\n#include <jpeglib.h>\nint turbo = JCS_EXTENSIONS;\n')?.status !== 0)
    fail(
      'libjpeg-turbo is needed to build the addon; its jpeglib.h was not found.',
      'Install it: apt-get install libjpeg62-turbo-dev (Debian), libjpeg-turbo8-dev (Ubuntu), or dnf install libjpeg-turbo-devel (Fedora).',
    )
}
