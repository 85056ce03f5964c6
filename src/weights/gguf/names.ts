/**
 * @file Names of weights in GGUF files and in Hugging Face's, in two columns: `{N}` is the number of a layer. Facts:
 * llama.cpp's `gguf-py` tensor map and the readers of its `llama` and `clip` models.
 */

type NamePair = readonly [gguf: string, huggingFace: string];

/** A language model. */
export const LANGUAGE_NAMES: readonly NamePair[] = [
  ['token_embd', 'model.embed_tokens'],
  ['output_norm', 'model.norm'],
  ['output', 'lm_head'],
  ['blk.{N}.attn_norm', 'model.layers.{N}.input_layernorm'],
  ['blk.{N}.attn_q', 'model.layers.{N}.self_attn.q_proj'],
  ['blk.{N}.attn_k', 'model.layers.{N}.self_attn.k_proj'],
  ['blk.{N}.attn_v', 'model.layers.{N}.self_attn.v_proj'],
  ['blk.{N}.attn_output', 'model.layers.{N}.self_attn.o_proj'],
  ['blk.{N}.ffn_norm', 'model.layers.{N}.post_attention_layernorm'],
  ['blk.{N}.ffn_gate', 'model.layers.{N}.mlp.gate_proj'],
  ['blk.{N}.ffn_up', 'model.layers.{N}.mlp.up_proj'],
  ['blk.{N}.ffn_down', 'model.layers.{N}.mlp.down_proj'],
];

const TOWER = 'vision_tower.vision_model';
const BLOCK = `${TOWER}.encoder.layers.{N}`;

/**
 * A vision tower and projector. `ffn_down` is the first layer of the MLP, as in all published files: their converter has the
 * two the wrong way round, and readers look at the shapes.
 */
export const VISION_NAMES: readonly NamePair[] = [
  ['v.class_embd', `${TOWER}.embeddings.class_embedding`],
  ['v.patch_embd', `${TOWER}.embeddings.patch_embedding`],
  ['v.position_embd', `${TOWER}.embeddings.position_embedding`],
  ['v.pre_ln', `${TOWER}.pre_layrnorm`],
  ['v.post_ln', `${TOWER}.post_layernorm`],
  ['v.blk.{N}.attn_q', `${BLOCK}.self_attn.q_proj`],
  ['v.blk.{N}.attn_k', `${BLOCK}.self_attn.k_proj`],
  ['v.blk.{N}.attn_v', `${BLOCK}.self_attn.v_proj`],
  ['v.blk.{N}.attn_out', `${BLOCK}.self_attn.out_proj`],
  ['v.blk.{N}.ln1', `${BLOCK}.layer_norm1`],
  ['v.blk.{N}.ln2', `${BLOCK}.layer_norm2`],
  ['v.blk.{N}.ffn_down', `${BLOCK}.mlp.fc1`],
  ['v.blk.{N}.ffn_up', `${BLOCK}.mlp.fc2`],
  ['mm.0', 'multi_modal_projector.linear_1'],
  ['mm.2', 'multi_modal_projector.linear_2'],
  ['mm.4', 'multi_modal_projector.linear_3'],
  ['model.image_newline', 'image_newline'],
];

/** Translates names by one of the tables; `undefined` for names that are not in it. */
export function renamer(table: readonly NamePair[], direction: 'to-hf' | 'to-gguf') {
  const [from, to] = direction === 'to-hf' ? [0, 1] : [1, 0];
  const known = new Map(table.map(pair => [pair[from]!, pair[to]!]));
  return (name: string): string | undefined => {
    const [, suffix = ''] = /(\.weight|\.bias)$/.exec(name) ?? [];
    const stem = name.slice(0, name.length - suffix.length);
    const direct = known.get(stem);
    if (direct !== undefined) return direct + suffix;
    const [, layer] = /\.(\d+)\./.exec(stem) ?? [];
    const numbered = layer === undefined ? undefined : known.get(stem.replace(`.${layer}.`, '.{N}.'));
    return numbered === undefined ? undefined : numbered.replace('{N}', layer!) + suffix;
  };
}
