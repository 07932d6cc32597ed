import { check } from '../util/is.js'
import { checkClassNames } from './class-names.js'
import { type DatasetOptions, type Sample, SampleDataset, type SplitName } from './dataset.js'
import { holdOut, holdOutOptions } from './hold-out.js'
import { datasetError, layoutClasses, layoutProblems, layoutWarnings, readLayout } from './layout.js'
import { pause, SLICE } from './sort.js'

export interface ImageFolderOptions extends DatasetOptions {
  /**
   * The classes and their order, for example those of a trained model to evaluate. Folders are matched to them by name, and
   * some classes may have no folder. Default: the sorted names of the folders of `train`.
   */
  classes?: readonly string[]
}

/**
 * Images in one folder for each class, as in torchvision:
 *
 *     root/train/<class>/*.jpg    root/val/<class>/*.jpg    (or valid, validation, test)
 *     root/<class>/*.jpg
 *
 * Classes are the sorted names of train's folders; the folders of the other splits are matched by name. Class folders are
 * searched with all their subfolders, and symbolic links are followed. Hidden files and those that other programs leave
 * (`@eaDir`, `__MACOSX`, `Thumbs.db`) are skipped. If there is no validation split, a share of every class is held out of
 * the training images (`valFraction`).
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
   * Lists the images below a folder, without reading them.
   * @throws ERR_DATASET if the folder does not exist or training cannot use it: there are no classes or only one, a class
   *   has no images, or another split has a class that train lacks.
   */
  static async open(root: string, options: ImageFolderOptions = {}): Promise<ImageFolder> {
    check.options('options', options, ['valFraction', 'seed', 'classes', 'signal', 'onProgress'])
    const held = holdOutOptions(options)
    const given = options.classes === undefined ? undefined : checkClassNames('classes', options.classes)
    const layout = await readLayout(root, options)
    const [problem, ...more] = layoutProblems(layout, given)
    if (problem !== undefined) {
      const others =
        more.length === 0 ? '' : `. There are more problems: visiontorch doctor --data lists them`
      throw datasetError(layout.root, problem + others)
    }
    const classes = given ?? layoutClasses(layout)
    const labels = new Map(classes.map((name, label) => [name, label]))
    const splits = new Map<SplitName, Sample[]>([...layout.splits.keys()].map(split => [split, []]))
    // Sorted by label: if the caller gave the classes, their order may differ from that of the folders.
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
