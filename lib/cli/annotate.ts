import { Command } from 'commander'
import { writeAnnotations } from '../data/annotations.js'
import { readClasses } from '../data/class-names.js'
import { ImageFolder } from '../data/image-folder.js'
import { addDataArgument, classesOption, integer, number, requiredDataOf } from './options.js'
import { formatCount, print, warn } from './terminal.js'

interface AnnotateFlags {
  data?: string
  classes?: string
  out?: string
  relative?: boolean
  valFraction?: number
  seed?: number
}

/** `visiontorch annotate` writes the annotation files of classification-pytorch for a folder of images. */
export const annotateCommand = (): Command =>
  addDataArgument(
    new Command('annotate').description(
      'write cls_classes.txt, cls_train.txt and cls_test.txt for a folder of images',
    ),
    'DATA/train/<class>/*.jpg and DATA/val or DATA/test, or DATA/<class>/*.jpg',
  )
    .addOption(classesOption())
    .option('--out <dir>', 'folder for these files (default: the data folder)')
    .option(
      '--relative',
      'write paths relative to these files, so that the folder can be moved (default: absolute)',
    )
    .option(
      '--val-fraction <share>',
      'share of every class to hold out for the test set if there are only training images (default: 0.1)',
      number(0, 0.9),
    )
    .option('--seed <n>', 'seed for choosing the images of the test set (default: 0)', integer(0))
    .action(async (argument: string | undefined, flags: AnnotateFlags) => {
      const data = requiredDataOf(argument, flags)
      const { data: _, classes: file, out = data, relative = false, ...options } = flags
      const classes = file === undefined ? {} : { classes: await readClasses(file) }
      const folder = await ImageFolder.open(data, { ...options, ...classes })
      for (const warning of folder.warnings) warn(warning)
      const written = await writeAnnotations(folder, out, { relative })
      for (const [path, lines] of written) print(`${path}  ${formatCount(lines)} lines`)
    })
