/** @file `llava info`: what a model is and what it needs, without reading its weights; and what can compute here. */

import type { Command } from 'commander';
import { LlavaError } from '../../core/index.ts';
import type { ModelDescription, PartDescription } from '../../engine/index.ts';
import type { LlamaConfig } from '../../models/index.ts';
import type { Io } from './commands.ts';
import { companionFolders, MODEL_NAME, modelFolder } from './model-name.ts';
import {
  compatOption,
  kvOption,
  type ModelValues,
  mmprojOption,
  modelBaseOption,
  visionTowerOption,
} from './options.ts';
import { formatBytes } from './progress.ts';

export function define(command: Command, io: Io): void {
  command.argument('[model]', MODEL_NAME);
  command.addOption(mmprojOption()).addOption(compatOption()).addOption(visionTowerOption());
  command.addOption(modelBaseOption()).addOption(kvOption());
  command.option('--devices', 'show what can compute on this machine');
  command.option('--json', 'print an object');
  command.action((model: string | undefined, { json = false, devices, ...options }: InfoValues) => {
    if (devices) return showDevices(json, io);
    if (model !== undefined) return info(model, json, options, io);
    throw new LlavaError('info: expected a model, or --devices, got neither');
  });
}

async function showDevices(json: boolean, io: Io): Promise<void> {
  const { deviceStates } = await import('../../runtime/index.ts');
  const states = await deviceStates();
  const lines = states.map(({ device, problem }): Row => [device, problem ?? 'works']);
  io.stdout.write(`${json ? JSON.stringify(states, null, 2) : formatTable(lines)}\n`);
}

interface InfoValues extends Pick<ModelValues, 'mmproj' | 'compat' | 'visionTower' | 'modelBase' | 'kv'> {
  readonly json?: boolean;
  readonly devices?: boolean;
}

async function info(name: string, json: boolean, options: Omit<InfoValues, 'json' | 'devices'>, io: Io): Promise<void> {
  const { describeModel } = await import('../../engine/index.ts');
  const companions = await companionFolders(options, io);
  const { kv, ...files } = options;
  const description = describeModel(await modelFolder(name, io), {
    ...files,
    ...companions,
    ...(kv && { kvCache: kv }),
  });
  io.stdout.write(`${json ? JSON.stringify(description, null, 2) : formatTable(rows(description))}\n`);
}

type Row = readonly [label: string, value: string];

function rows(model: ModelDescription): Row[] {
  const { total, weights, cache, buffers, program } = model.memory;
  const parameters = model.parts.reduce((sum, part) => sum + part.parameters, 0);
  const bytes = model.parts.reduce((sum, part) => sum + part.bytes, 0);
  return [
    ['model', `${model.name} (${model.config.modelType})`],
    ...architecture(model),
    ...model.parts.map((part): Row => [part.name, formatPart(part)]),
    ['all weights', `${formatCount(parameters)} parameters, ${formatBytes(bytes)}`],
    ['context', `${model.contextLength} tokens`],
    ['image', formatImage(model)],
    ['template', model.template ?? 'unknown'],
    ['tokenizer', model.tokenizerSize === undefined ? 'unknown' : `${model.tokenizerSize} tokens`],
    ['memory', `${formatBytes(total)} at full context:`],
    [
      '',
      `${formatBytes(weights)} weights, ${formatBytes(cache)} cache, about ${formatBytes(buffers)} buffers, ${formatBytes(program)} program`,
    ],
    ...model.problems.map((problem): Row => ['problem', problem]),
  ];
}

const FAMILY_NAMES = {
  llama: 'Llama',
  mistral: 'Mistral',
  qwen2: 'Qwen2',
  clip_vision_model: 'CLIP',
  siglip_vision_model: 'SigLIP',
} as const;

function architecture({ config }: ModelDescription): Row[] {
  const language = config.modelType === 'llava' ? config.language : config;
  const { numHiddenLayers, hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, vocabSize } = language;
  const decoder: Row = [
    'decoder',
    `${FAMILY_NAMES[language.modelType]}, ${numHiddenLayers} layers, width ${hiddenSize}, MLP ${intermediateSize}, ` +
      `${numAttentionHeads} heads (${numKeyValueHeads} key/value), vocabulary ${vocabSize}${positions(language)}`,
  ];
  if (config.modelType !== 'llava') return [decoder];
  const { vision, projectorType, visionFeatureLayers, visionFeatureSelect } = config;
  return [
    [
      'tower',
      `${FAMILY_NAMES[vision.modelType]} ViT, ${vision.numHiddenLayers} layers, width ${vision.hiddenSize}, MLP ${vision.intermediateSize}, ` +
        `${vision.numAttentionHeads} heads, image ${vision.imageSize} px, patch ${vision.patchSize} px`,
    ],
    ['bridge', `${projectorType}, from layer ${visionFeatureLayers.join(' and ')}, ${visionFeatureSelect} tokens`],
    decoder,
  ];
}

/** What is special about a decoder's positions: its window, its rope scaling. */
function positions({ slidingWindow, ropeScaling }: LlamaConfig): string {
  const window = slidingWindow === undefined ? '' : `, window ${slidingWindow}`;
  return ropeScaling ? `${window}, ${ropeScaling.type} rope × ${ropeScaling.factor}` : window;
}

/** `576 tokens`, `up to 2928 tokens, in up to 5 tiles`. */
function formatImage({ config, tokensPerImage }: ModelDescription): string {
  if (config.modelType !== 'llava') return 'none';
  if (!config.anyres) return `${tokensPerImage} tokens`;
  const tiles = config.anyres.pinpoints.map(([a, b]) => 1 + (a * b) / config.vision.imageSize ** 2);
  return `up to ${tokensPerImage} tokens, from up to ${Math.max(...tiles)} tiles by the rules of ${config.compat}`;
}

function formatPart({ parameters, bytes, dtypes }: PartDescription): string {
  return `${formatCount(parameters)} parameters, ${formatBytes(bytes)}, ${dtypes.join(' and ')}`;
}

function formatTable(lines: readonly Row[]): string {
  const width = Math.max(...lines.map(([label]) => label.length));
  return lines.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join('\n');
}

/** `7.06 billion`, `8.1 million`, `1,234`. */
function formatCount(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} billion`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} million`;
  return count.toLocaleString('en-US');
}
