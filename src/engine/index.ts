export { type Answer, collectAnswer, textOf } from './answer.ts';
export { type Benchmark, type BenchmarkOptions, benchmark, median, timed } from './benchmark.ts';
export { chooseTemplate, type PromptOptions } from './choose-template.ts';
export { type AskOptions, Conversation, type ConversationOptions } from './conversation.ts';
export * from './convert/index.ts';
export { describeModel, type ModelDescription } from './describe.ts';
export { exportOnnx, type OnnxExportOptions, type OnnxStorage } from './export-onnx.ts';
export {
  type FinishReason,
  type GenerationEvent,
  type GenerationInput,
  type GenerationOptions,
  generate,
  generateTokens,
  type Timings,
  type Usage,
} from './generate.ts';
export {
  GGUF_DTYPES,
  type GgufDtype,
  type WriteGgufPairOptions,
  type WrittenGgufPair,
  writeGgufPair,
} from './gguf/write-pair.ts';
export { type EncodableImage, encodableImage } from './image-encoder.ts';
export { Llava } from './llava.ts';
export {
  type ImageSpan,
  LlavaProcessor,
  type ProcessorOptions,
  type SizedImage,
  type SizedMessage,
  type TokenizedPrompt,
  type TokenizeOptions,
} from './llava-processor.ts';
export type { MemoryNeed } from './memory.ts';
export { type LlavaModel, type LoadOptions, loadModel } from './model.ts';
export { type FolderOptions, type ModelFolder, openModelFolder } from './model-folder.ts';
export { copyOtherFiles } from './other-files.ts';
export type { PartDescription } from './outline.ts';
export { type Prediction, type PredictionOptions, predictions } from './predictions.ts';
export {
  drawnPicture,
  type LinearLayer,
  linearLayers,
  QUANT_CHOICES,
  type QuantChoice,
  type QuantizeOptions,
  type QuantizeResult,
  quantizedFolder,
  quantizeModel,
  type SampleOptions,
  suitableFormat,
} from './quantize/index.ts';
export { Sampler, type SamplingOptions } from './sampler.ts';
export { type ImageFeatures, Sequence, type SequenceContent } from './sequence.ts';
export { type SyntheticOptions, writeSyntheticModel } from './synthetic.ts';
