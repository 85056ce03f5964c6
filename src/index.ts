/**
 * @file The public interface of llava-ts.
 *
 * ```ts
 * import { Llava } from 'llava-ts';
 *
 * await using model = await Llava.load('path/to/model');
 * console.log(await model.ask('What is this?', { image: 'cat.jpg' }));
 * ```
 */

export { AbortedError, LlavaError } from './core/index.ts';
export {
  type Answer,
  type AskOptions,
  type Conversation,
  type ConversationOptions,
  type ConvertOptions,
  type ConvertProgress,
  type ConvertTarget,
  convertModel,
  describeModel,
  type FinishReason,
  type GenerationEvent,
  type GenerationOptions,
  type ImageSpan,
  Llava,
  LlavaProcessor,
  type LoadOptions,
  type MemoryNeed,
  type ModelDescription,
  type PartDescription,
  type ProcessorOptions,
  type SamplingOptions,
  type SizedImage,
  type SizedMessage,
  type Timings,
  type TokenizedPrompt,
  type TokenizeOptions,
  type Usage,
} from './engine/index.ts';
export {
  type ChatMessage,
  decodeImage,
  type ImageLimits,
  type ImageSource,
  type RgbImage,
  templateNames,
} from './processor/index.ts';
export {
  type DownloadProgress,
  type HubOptions,
  type HubSettings,
  type HubTiming,
  resolveModel,
} from './weights/index.ts';
