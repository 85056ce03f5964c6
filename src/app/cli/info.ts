/** @file `llava info`: what a model is and what it needs, without reading its weights. */

import type { Command } from 'commander';
import type { ModelDescription, PartDescription } from '../../engine/index.ts';
import type { Io } from './commands.ts';

export function define(command: Command, io: Io): void {
  command.argument('<model>', 'folder of a model');
  command.option('--json', 'print an object');
  command.action((model: string, { json }: { json?: boolean }) => info(model, json === true, io));
}

async function info(folder: string, json: boolean, io: Io): Promise<void> {
  const { describeModel } = await import('../../engine/index.ts');
  const description = describeModel(folder);
  io.stdout.write(`${json ? JSON.stringify(description, null, 2) : formatTable(rows(description))}\n`);
}

type Row = readonly [label: string, value: string];

function rows(model: ModelDescription): Row[] {
  const { weights, cache, buffers } = model.memory;
  const parameters = model.parts.reduce((sum, part) => sum + part.parameters, 0);
  const bytes = model.parts.reduce((sum, part) => sum + part.bytes, 0);
  return [
    ['model', `${model.name} (${model.config.modelType})`],
    ...architecture(model),
    ...model.parts.map((part): Row => [part.name, formatPart(part)]),
    ['all weights', `${formatCount(parameters)} parameters, ${formatBytes(bytes)}`],
    ['context', `${model.contextLength} tokens`],
    ['image', model.tokensPerImage === 0 ? 'none' : `${model.tokensPerImage} tokens`],
    ['template', model.template ?? 'unknown'],
    ['tokenizer', model.tokenizerSize === undefined ? 'unknown' : `${model.tokenizerSize} tokens`],
    ['memory', `${formatBytes(weights + cache + buffers)} at full context:`],
    ['', `${formatBytes(weights)} weights (f32), ${formatBytes(cache)} cache, about ${formatBytes(buffers)} buffers`],
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
      `${numAttentionHeads} heads (${numKeyValueHeads} key/value), vocabulary ${vocabSize}`,
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

/** `14.1 GB`, `32 MB`, `5 kB`. */
function formatBytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${Math.round(bytes / 1e6)} MB`;
  return `${Math.ceil(bytes / 1e3)} kB`;
}
