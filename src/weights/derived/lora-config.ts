/** @file `adapter_config.json` of peft: what of it decides the merged weights; and what we cannot merge is refused. */

import { LlavaError } from '../../core/index.ts';

/** How strongly an adapter acts, and on what it was trained. */
export interface LoraConfig {
  readonly rank: number;
  readonly alpha: number;
  /** Scale by √rank instead of the rank. Default false. */
  readonly rankStabilised?: boolean;
  /** Names of the layers with an adapter, each a whole name or its end. */
  readonly targetModules: readonly string[];
  /** Name or folder of the model it was trained on. */
  readonly base?: string;
  /** Used in training only. Default 0. */
  readonly dropout?: number;
}

/** Other kinds of adapters that share the file's name and change what is computed. */
const UNMERGEABLE = [
  ...['use_dora', 'use_qalora', 'use_bdlora', 'fan_in_fan_out', 'layer_replication', 'trainable_token_indices'],
  ...['target_parameters', 'alora_invocation_tokens', 'arrow_config', 'alpha_pattern', 'rank_pattern'],
  ...['kasa_config', 'velora_config', 'monteclora_config'],
];

/** Reads the parsed file. Throws LlavaError that names the key at fault. */
export function parseLoraConfig(json: unknown, where: string): LoraConfig {
  if (!isObject(json)) throw new LlavaError(`${where}: expected an object, got ${JSON.stringify(json)?.slice(0, 50)}`);
  if (json.peft_type !== 'LORA') fail(where, 'peft_type', '"LORA"', json);
  for (const key of UNMERGEABLE) if (!isOff(json[key])) fail(where, key, 'none', json);
  const { r: rank, lora_alpha: alpha, base_model_name_or_path: base, target_modules: modules } = json;
  const isRank = typeof rank === 'number' && Number.isInteger(rank) && rank > 0;
  if (!isRank) return fail(where, 'r', 'a whole number of at least 1', json);
  const isAlpha = typeof alpha === 'number' && Number.isFinite(alpha);
  if (!isAlpha) return fail(where, 'lora_alpha', 'a number', json);
  return {
    rank,
    alpha,
    rankStabilised: json.use_rslora === true,
    targetModules: Array.isArray(modules) ? modules.filter(name => typeof name === 'string') : [],
    ...(typeof base === 'string' && { base }),
  };
}

/** The file's content, with the keys that peft and LLaVA's loader read. */
export function loraConfigJson(config: LoraConfig): Record<string, unknown> {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: config.base ?? null,
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout ?? 0,
    use_rslora: config.rankStabilised ?? false,
    target_modules: config.targetModules,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    modules_to_save: null,
  };
}

/** Factor of B·A. */
export function loraScale({ rank, alpha, rankStabilised }: LoraConfig): number {
  return alpha / (rankStabilised ? Math.sqrt(rank) : rank);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOff(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === false ||
    (typeof value === 'object' && Object.keys(value).length === 0)
  );
}

function fail(where: string, key: string, expected: string, json: Record<string, unknown>): never {
  throw new LlavaError(`${where}: expected ${key} to be ${expected}, got ${JSON.stringify(json[key])?.slice(0, 100)}`);
}
