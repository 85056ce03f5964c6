import type { PeerPackage } from './project.ts';

/** transformers.js, on onnxruntime-node. */
export const TRANSFORMERS_JS: PeerPackage = {
  name: '@huggingface/transformers',
  version: '4.3.1',
  entry: 'dist/transformers.node.mjs',
};
