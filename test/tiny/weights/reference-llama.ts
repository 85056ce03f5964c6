/**
 * @file A plain Llama in double precision over named weights, one token at a time. It judges what a reader returns (names,
 * shapes, order of rows) by what the model says, and shares no code with the library's Llama.
 */

import type { HostTensor } from '../../../src/core/index.ts';
import type { Llama2cModel } from '../../../src/weights/index.ts';

type Vector = readonly number[];

/** Matrix [m, n] times vector [n]. */
function multiply({ data, shape }: HostTensor, vector: Vector): number[] {
  const [rows = 0, columns = 0] = shape;
  const out = new Array<number>(rows).fill(0);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[i]! += (data[i * columns + j] as number) * vector[j]!;
  }
  return out;
}

function add(a: Vector, b: Vector): number[] {
  return a.map((value, i) => value + b[i]!);
}

function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

/** RMSNorm: x / sqrt(mean(x²) + 1e-5) · weight. */
function normalise(x: Vector, { data }: HostTensor): number[] {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + 1e-5);
  return x.map((value, i) => value * scale * Number(data[i]));
}

/** Splits into heads of `size` and turns each in the Hugging Face layout: pairs (j, j + size/2), angle p·10000^(−2j/size). */
function rotatedHeads(x: Vector, size: number, position: number): number[][] {
  return heads(x, size).map(head =>
    head.map((value, i) => {
      const angle = position * 10000 ** ((-2 * (i % (size / 2))) / size);
      const partner = i < size / 2 ? -head[i + size / 2]! : head[i - size / 2]!;
      return value * Math.cos(angle) + partner * Math.sin(angle);
    }),
  );
}

function heads(x: Vector, size: number): number[][] {
  return Array.from({ length: x.length / size }, (_, i) => x.slice(i * size, (i + 1) * size));
}

/** Σ_t softmax(q·k_t / √d)_t · v_t */
function attend(query: Vector, keys: readonly Vector[], values: readonly Vector[]): number[] {
  const scores = keys.map(key => Math.exp(dot(query, key) / Math.sqrt(query.length)));
  const total = scores.reduce((sum, score) => sum + score, 0);
  return query.map((_, i) => scores.reduce((sum, score, t) => sum + (score / total) * values[t]![i]!, 0));
}

/** A function from the next token and its position to logits; it remembers what it has seen. */
export function referenceLlama({ config, tensors }: Llama2cModel): (token: number, position: number) => number[] {
  const size = config.hidden_size / config.num_attention_heads;
  const queriesPerKey = config.num_attention_heads / config.num_key_value_heads;
  const weight = (name: string): HostTensor => tensors.get(`model.${name}.weight`)!;
  const seen = Array.from({ length: config.num_hidden_layers }, () => [] as { keys: number[][]; values: number[][] }[]);

  const attention = (layer: number, x: Vector, position: number): number[] => {
    const project = (kind: string): number[] => multiply(weight(`layers.${layer}.self_attn.${kind}_proj`), x);
    const past = seen[layer]!;
    past.push({ keys: rotatedHeads(project('k'), size, position), values: heads(project('v'), size) });
    const mixed = rotatedHeads(project('q'), size, position).flatMap((query, h) => {
      const group = Math.floor(h / queriesPerKey);
      return attend(
        query,
        past.map(({ keys }) => keys[group]!),
        past.map(({ values }) => values[group]!),
      );
    });
    return multiply(weight(`layers.${layer}.self_attn.o_proj`), mixed);
  };

  const feedForward = (layer: number, x: Vector): number[] => {
    const project = (kind: string, input: Vector): number[] =>
      multiply(weight(`layers.${layer}.mlp.${kind}_proj`), input);
    const up = project('up', x);
    return project(
      'down',
      project('gate', x).map((gate, i) => (gate / (1 + Math.exp(-gate))) * up[i]!),
    );
  };

  return (token, position) => {
    const table = weight('embed_tokens');
    let x = Array.from(table.data.subarray(token * config.hidden_size, (token + 1) * config.hidden_size), Number);
    for (let layer = 0; layer < config.num_hidden_layers; layer++) {
      x = add(x, attention(layer, normalise(x, weight(`layers.${layer}.input_layernorm`)), position));
      x = add(x, feedForward(layer, normalise(x, weight(`layers.${layer}.post_attention_layernorm`))));
    }
    return multiply(table, normalise(x, weight('norm')));
  };
}
