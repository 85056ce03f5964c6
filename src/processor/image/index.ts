export { type DecodeOptions, decodeImage } from './decode.ts';
export { type ImageMode, normalizeTile, padTile, preprocessImage, preprocessTiles, squareTile } from './preprocess.ts';
export { type Canvas, type ResampleFilter, resizeImage, resizeWindow, type Window } from './resize.ts';
export { pasteImage, type Rgb, type RgbImage, solidImage } from './rgb-image.ts';
export {
  CLIP_336,
  formatImageSettings,
  type ImageSettings,
  parseImageSettings,
  type ResizeRule,
  type Size,
  towerImageSettings,
} from './settings.ts';
