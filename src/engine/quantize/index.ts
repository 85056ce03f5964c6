export { QUANT_CHOICES, type QuantChoice, quantizedFolder } from './cached-copy.ts';
export { type LinearLayer, linearLayers } from './layers.ts';
export { type QuantizeOptions, type QuantizeResult, quantizeModel } from './quantize.ts';
export { drawnPicture, type SampleOptions } from './samples.ts';
export { suitableFormat } from './suitable-format.ts';
