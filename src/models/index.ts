export { PRECISIONS, type Precision } from '../graph/index.ts';
export { arrangeFeatures } from './arrange-features.ts';
export * from './config/index.ts';
export { Fields, type JsonObject } from './fields.ts';
export * from './image-layout.ts';
export { initialTensor } from './init.ts';
export * from './language/llama.ts';
export { LAYOUTS, type Layout, storedName } from './layout-names.ts';
export * from './llava.ts';
export { projector } from './projector.ts';
export * from './quantization.ts';
export { type ScaleSource, scaleSource } from './scale-migration.ts';
export * from './vision/clip.ts';
export { blocksFor, visionPooled } from './vision/tower.ts';
export {
  CLIP_NAMES,
  LLAMA_NAMES,
  LLAVA_NAMES,
  type NameRule,
  nameRules,
  ourName,
  TOWER_NAMES,
} from './weight-names.ts';
