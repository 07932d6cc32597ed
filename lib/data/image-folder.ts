import { check } from '../util/is.js'
import { checkClassNames } from './class-names.js'
import { type DatasetOptions, type Sample, SampleDataset, type SplitName } from './dataset.js'
import { holdOut, holdOutOptions } from './hold-out.js'
import { datasetError, layoutClasses, layoutProblems, layoutWarnings, readLayout } from './layout.js'
import { pause, SLICE } from './sort.js'

export interface ImageFolderOptions extends DatasetOptions {
  /**
   * The classes and their order, say those of a trained model that is to be evaluated; folders are mapped to them by
   * name, and some may have no folder. Default: the sorted names of the folders of `train`.
   */
  classes?: readonly string[]
}

/**
 * Images in a folder a class, as in torchvision:
 *
 *     root/train/<class>/*.jpg    root/val/<class>/*.jpg    (or valid, validation, test)
 *     root/<class>/*.jpg
 *
 * Classes are the sorted names of train's folders; those of the other splits are mapped by name. Folders of classes are
 * searched with all their sub folders, and symbolic links are followed. Hidden files and what other programs leave
 * (`@eaDir`, `__MACOSX`, `Thumbs.db`) are skipped. Without a split to
 * validate on, a share of every class is held out of the training images (`valFraction`).
 */
export class ImageFolder extends SampleDataset {
  private constructor(
    root: string,
    classes: readonly string[],
    splits: ReadonlyMap<SplitName, readonly Sample[]>,
    warnings: readonly string[],
  ) {
    super(root, classes, splits, warnings)
  }

  /**
   * Lists the images below a folder; reads none of them.
   * @throws ERR_DATASET when the folder does not exist or training could not make sense of it: no classes, one class,
   *   a class without images, a class of another split that train lacks.
   */
  static async open(root: string, options: ImageFolderOptions = {}): Promise<ImageFolder> {
    check.options('options', options, ['valFraction', 'seed', 'classes', 'signal', 'onProgress'])
    const held = holdOutOptions(options)
    const given = options.classes === undefined ? undefined : checkClassNames('classes', options.classes)
    const layout = await readLayout(root, options)
    const [problem, ...more] = layoutProblems(layout, given)
    if (problem !== undefined) {
      const others = more.length === 0 ? '' : `. There is more: visiontorch doctor --data lists it`
      throw datasetError(layout.root, problem + others)
    }
    const classes = given ?? layoutClasses(layout)
    const labels = new Map(classes.map((name, label) => [name, label]))
    const splits = new Map<SplitName, Sample[]>([...layout.splits.keys()].map(split => [split, []]))
    // In the order of the labels, which may differ from that of the folders if the caller gave the classes.
    const folders = layout.folders.toSorted((a, b) => labels.get(a.name)! - labels.get(b.name)!)
    for (const { split, name, images } of folders) {
      const samples = splits.get(split)!
      const label = labels.get(name)!
      for (const [index, path] of images.entries()) {
        samples.push({ path, label })
        if (index % SLICE === SLICE - 1) await pause(options.signal)
      }
    }
    const warnings = layoutWarnings(layout, classes)
    warnings.push(...(await holdOut(splits, layout.root, held)))
    return new ImageFolder(layout.root, classes, splits, warnings)
  }
}
