/**
 * @file What exported ONNX files say about themselves: `onnx.json` for programs, README.md for people. Shapes: B sequences,
 * T tokens of a run, P cache positions, R rows of logits, N images, M rows of image features.
 */

import type { DType } from '../core/index.ts';
import type { OnnxModel, OnnxPort } from '../graph/index.ts';
import { hasDynamicRotation } from '../models/index.ts';
import type { ModelFolder } from './model-folder.ts';

/** Name of the file by which an export is known. */
export const MANIFEST = 'onnx.json';

/** Models by file name less `.onnx`. */
type Models = Readonly<Record<string, OnnxModel>>;

const TYPE_NAMES: { readonly [K in DType]?: string } = { f32: 'float32', i64: 'int64', i32: 'int32' };

const port = ({ name, dtype, shape }: OnnxPort) => ({ name, type: TYPE_NAMES[dtype] ?? dtype, shape });

/** Inputs and outputs of each file, and the numbers that a program needs to run them. */
export function manifestJson({ name, config, language, eosIds }: ModelFolder, models: Models): string {
  const { numHiddenLayers, numKeyValueHeads, headDim, hiddenSize, vocabSize, contextLength } = language;
  const files = Object.entries(models).map(([file, { inputs, outputs }]) => {
    const ports = { inputs: inputs.map(port), outputs: outputs.map(port) };
    return [`${file}.onnx`, { data: `${file}.onnx.data`, ...ports }] as const;
  });
  const manifest = {
    model: name,
    opsets: { 'ai.onnx': 21, 'com.microsoft': 1 },
    files: Object.fromEntries(files),
    ...(config.modelType === 'llava' && { imageTokenId: config.imageTokenId, imageSize: config.vision.imageSize }),
    eosTokenIds: eosIds,
    contextLength,
    layers: numHiddenLayers,
    keyValueHeads: numKeyValueHeads,
    headSize: headDim,
    hiddenSize,
    vocabularySize: vocabSize,
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** How to run the files with ONNX Runtime, from any language. */
export function readmeText({ name, language, config }: ModelFolder, models: Models): string {
  const { hiddenSize, numKeyValueHeads, headDim, numHiddenLayers } = language;
  const files = Object.keys(models).map(file => `\`${file}.onnx\` with its weights in \`${file}.onnx.data\``);
  const hasGrid = config.modelType === 'llava' && config.anyres !== undefined;
  const vision = models.vision ? VISION_STEP + (hasGrid ? GRID_STEP : '') : '';
  return `# ${name} for ONNX Runtime

${files.join(', ')}. They run with plain ONNX Runtime (its own operators of the domain \`com.microsoft\` are used); keep each
\`.data\` file beside its model. \`onnx.json\` lists all inputs and outputs with types and shapes. Tokenizer, configuration and image
settings are the model's own, copied.
${vision}
## Reading a prompt and writing an answer: \`decoder.onnx\`

One sequence at a time (B = 1). A run reads T more tokens after the p that the cache holds, and gives the logits of the rows
that are asked for.

| input | shape | first run: the prompt, T tokens | a later run: one token |
| --- | --- | --- | --- |
| \`ids\` int64 | [1, T] | token ids; at image positions any valid id | the token |
| \`source\` int64 | [1, T] | t at position t; T + m at the position of image row m | 0 |
| \`features\` float32 | [M, ${hiddenSize}] | all rows of all images, in order | none, M = 0 |
| \`rows\` int64 | [R] | T − 1 | 0 |
| \`lastPosition\` int32 | [1] | T − 1 | p |
| \`totalLength\` int32 | [] | T | p + 1 |
${hasDynamicRotation(language) ? '| `rotaryLength` int32 | [] | T | p + 1 |\n' : ''}| \`past.L.key\`, \`past.L.value\` float32 | [1, ${numKeyValueHeads}, p, ${headDim}] | p = 0 | \`present.L.key\`, \`present.L.value\` of the run before |

Outputs: \`logits\` float32 [R, ${language.vocabSize}], and \`present.L.key\`, \`present.L.value\` for each layer L from 0 to ${numHiddenLayers - 1}: the cache,
longer by T. A cache of fixed room works too: [1, ${numKeyValueHeads}, room, ${headDim}] from the first run on, of which positions from
\`totalLength\` on are ignored.
`;
}

const VISION_STEP = `
## Looking at images: \`vision.onnx\`

Input \`pixels\` float32, normalised as preprocessor_config.json says; output \`features\`, the rows that take the place of an image in
the sequence. In the prompt's ids write as many positions as an image has rows.
`;

const GRID_STEP = `
A picture of this model becomes several tiles: the whole picture made square, then the tiles of the canvas of
\`image_grid_pinpoints\` that suits it best. \`features\` has the rows of each tile. In the sequence stand those of the first tile, then
those of the canvas as one picture, row by row, without the rows and columns that show padding, and \`newline\` after each row.
\`llava tokens\` tells how many positions that makes.
`;
