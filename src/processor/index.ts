export {
  CLIP_336,
  type DecodeOptions as ImageLimits,
  decodeImage,
  formatImageSettings,
  type ImageMode,
  type ImageSettings,
  parseImageSettings,
  preprocessImage,
  preprocessTiles,
  type Rgb,
  type RgbImage,
  solidImage,
  towerImageSettings,
} from './image/index.ts';
export { markImages, renderMessages } from './messages.ts';
export * from './processor.ts';
export * from './text/index.ts';
