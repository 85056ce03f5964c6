/**
 * @file Rotary positions in configurations. Files before transformers 5 have `rope_theta` and perhaps `rope_scaling: {type or
 * rope_type, factor, …}`, later ones `rope_parameters: {rope_theta, rope_type, factor, …}`.
 */

import { LlavaError } from '../../core/index.ts';
import type { RopeScaling } from '../../nn/index.ts';
import { Fields } from '../fields.ts';
import type { LlamaConfig } from './language.ts';

const ROPE_TYPES = ['default', 'linear', 'dynamic', 'llama3'] as const;

/** Longest context that a file may ask for: tables are made for every position. */
const LARGEST_CONTEXT = 2 ** 22;

/** The rotary part of a language model's configuration. */
export function parseRope(
  fields: Fields,
  maxPositions: number,
): Pick<LlamaConfig, 'ropeTheta' | 'ropeScaling' | 'contextLength'> {
  const key = fields.optionalObject('rope_scaling') ? 'rope_scaling' : 'rope_parameters';
  const rope = new Fields(fields.optionalObject(key) ?? {}, `${fields.where}: ${key}`);
  const ropeScaling = parseScaling(rope, maxPositions);
  const ropeTheta = rope.number('rope_theta', fields.number('rope_theta', 10000));
  if (ropeTheta <= 0) throw new LlavaError(`${rope.where}: expected a positive rope_theta, got ${ropeTheta}`);
  return { ropeTheta, ropeScaling, contextLength: contextLength(fields, maxPositions, ropeScaling) };
}

function parseScaling(rope: Fields, maxPositions: number): RopeScaling | undefined {
  const type = rope.choice('rope_type', ROPE_TYPES, rope.choice('type', ROPE_TYPES, 'default'));
  if (type === 'default') return undefined;
  const factor = atLeastOne(rope, 'factor');
  if (type === 'linear') return { type, factor };
  if (type === 'dynamic') return { type, factor, originalPositions: maxPositions };
  const [lowFrequencyFactor, highFrequencyFactor] = [rope.number('low_freq_factor'), rope.number('high_freq_factor')];
  if (lowFrequencyFactor <= 0 || highFrequencyFactor <= lowFrequencyFactor) {
    throw new LlavaError(
      `${rope.where}: expected 0 < low_freq_factor < high_freq_factor, got ${lowFrequencyFactor}, ${highFrequencyFactor}`,
    );
  }
  const originalPositions = rope.positive('original_max_position_embeddings', maxPositions);
  return { type, factor, lowFrequencyFactor, highFrequencyFactor, originalPositions };
}

function atLeastOne(rope: Fields, key: string): number {
  const value = rope.number(key);
  if (value >= 1) return value;
  throw new LlavaError(`${rope.where}: expected ${key} of at least 1, got ${value}`);
}

/** `max_position_embeddings` of a linear or dynamic scaling is from before it, that of llama3 from after it. */
function contextLength(fields: Fields, maxPositions: number, scaling: RopeScaling | undefined): number {
  const extends_ = scaling?.type === 'linear' || scaling?.type === 'dynamic';
  const length = extends_ ? Math.floor(maxPositions * scaling.factor) : maxPositions;
  if (length <= LARGEST_CONTEXT) return length;
  throw new LlavaError(`${fields.where}: expected a context of at most ${LARGEST_CONTEXT} positions, got ${length}`);
}
