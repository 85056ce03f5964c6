/** @file The bridge from vision features to language embeddings: LLaVA's linear layer, LLaVA-1.5's MLP. */

import { gelu, type Value } from '../graph/index.ts';
import { linear, type Scope } from '../nn/index.ts';
import { type LlavaConfig, projectorDepth } from './config/index.ts';

/**
 * [N, T, vision width] → [N, T, language width]: `linear_1`, then for MLPs exact GELU and the next linear layer; `identity`
 * leaves features as they are.
 */
export function projector(scope: Scope, features: Value, config: LlavaConfig): Value {
  const width = config.language.hiddenSize;
  const options = { bias: config.projectorBias };
  if (config.projectorType === 'identity') return features;
  let x = linear(scope.at('linear_1'), features, width, options);
  for (let i = 2; i <= projectorDepth(config.projectorType); i++) {
    x = linear(scope.at(`linear_${i}`), gelu(x), width, options);
  }
  return x;
}
