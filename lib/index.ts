export { fromAnnotations, type WriteAnnotationsOptions, writeAnnotations } from './data/annotations.js'
export type { Columns } from './data/columns.js'
export type { Dataset, DatasetOptions, Sample, SampleDataset, SplitName } from './data/dataset.js'
export { ImageFolder, type ImageFolderOptions } from './data/image-folder.js'
export { fromParquet, type ParquetOptions } from './data/parquet.js'
export type { SourceOptions } from './data/records.js'
export { fromSamples, type LabelledSample } from './data/samples.js'
export type { Shards } from './data/shards.js'
export { fromCsv, fromJsonLines, type SplitFiles, type TableOptions } from './data/table.js'
export { fromWebDataset, type WebDatasetOptions } from './data/web-dataset.js'
export type { DistributedSettings } from './distributed/settings.js'
export { type CheckDatasetOptions, checkDataset, type DatasetReport } from './doctor/dataset.js'
export type { Finding, FindingKind, Severity } from './doctor/finding.js'
export type { DownloadProgress } from './download/download.js'
export { type EvaluateOptions, evaluate, type ScoredImage } from './evaluate/evaluate.js'
export type { ClassMetrics, ConfusionCell, Evaluation, PoorPrediction } from './evaluate/metrics.js'
export type { ExportFormat, ExportOptions } from './export/export.js'
export type { Augmentation, AugmentationName, AugmentationOption, ColorJitter } from './image/augmentation.js'
export type { ImageInput, RawImage } from './image/input.js'
export { preprocess } from './image/preprocess.js'
export type { Interpolation, Preprocessing, PreprocessingName, ResizeMode } from './image/preprocessing.js'
export type { InputSize } from './image/size.js'
export { type Architecture, listArchitectures } from './model/architectures.js'
export {
  type CheckpointSummary,
  inspectCheckpoint,
  type ReadCheckpointOptions,
  readCheckpoint,
  type WriteCheckpointOptions,
  writeCheckpoint,
} from './model/checkpoint.js'
export { type ConvertOptions, convertCheckpoint } from './model/convert.js'
export {
  type CreateModelOptions,
  createModel,
  type LoadModelOptions,
  loadModel,
  type Weights,
} from './model/create-model.js'
export { Model, type ModelDType, type ModelSummary } from './model/model.js'
export * from './model/networks.js'
export { predict, predictEach } from './model/predict.js'
export type { QuantizationSummary, QuantizeMethod, QuantizeOptions } from './model/quantize.js'
export type {
  CheckpointValue,
  Container,
  DType,
  LayerSummary,
  LoadReport,
  NetworkOptions,
  RareDType,
  RuntimeInfo,
  TensorData,
  WeightsDType,
} from './native/native.js'
export { type Device, runtimeInfo, setThreads } from './native/runtime.js'
export {
  type FeatureOptions,
  type Prediction,
  PredictionError,
  type PredictionResult,
  type PredictOptions,
} from './predict/predict.js'
export { createHandler, type Handler, toNodeListener } from './serve/handler.js'
export type { HandlerOptions, Logger } from './serve/options.js'
export type * from './train/events.js'
export type { TrainOptions } from './train/options.js'
export { TrainingRun } from './train/run.js'
export { train } from './train.js'
export { type ErrorCode, VisionTorchError, type VisionTorchErrorDetails } from './util/errors.js'
export type { ArchitectureAlias } from './weights/aliases.js'
export { type FetchWeightsOptions, fetchWeights } from './weights/cache.js'
export { imagenetClasses, listWeights, type OfficialWeights, resolveWeights } from './weights/manifest.js'
