"""Makes test/golden/gguf/: blocks of every quantised type with the values that the `gguf` package gives them, a small file
of that package's writer, its own quantised bytes for the types that this project writes, and tiny quantised models with the
logits of `transformers`, which reads such files too.

    python scripts/make_gguf_goldens.py --out test/golden/gguf
"""
import argparse, base64, json, pathlib

import gguf
import numpy as np
import sentencepiece
import torch
import transformers
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

SOURCE = f"gguf {gguf.__version__ if hasattr(gguf, '__version__') else '0.19.0'}, numpy {np.__version__}, transformers {transformers.__version__}; scripts/make_gguf_goldens.py"
TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# where the f16 fields of a block are
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def random_blocks(rng, name, count):
    """Random bytes with finite scales of usual and of extreme size."""
    size = gguf.GGML_QUANT_SIZES[T[name]][1]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in HALVES[name]:
        scales = rng.normal(0, 0.01, count).astype(np.float16)
        scales[:4] = np.array([0.0, 6e-8, 1000.0, -0.5], dtype=np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks


def write_small(path, rng):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_uint8("n.u8", 200); writer.add_int8("n.i8", -100); writer.add_uint16("n.u16", 60000); writer.add_int16("n.i16", -30000)
    writer.add_uint32("n.u32", 4000000000); writer.add_int32("n.i32", -2000000000); writer.add_uint64("n.u64", 2**63 + 1)
    writer.add_int64("n.i64", -(2**40)); writer.add_float32("n.f32", 1e-5); writer.add_float64("n.f64", 0.1); writer.add_bool("n.bool", True)
    writer.add_string("n.string", "grüße 数"); writer.add_array("n.strings", ["a", "", "▁b"]); writer.add_array("n.ints", [1, -2, 3])
    writer.add_array("n.floats", [0.48145466, 0.4578275]); writer.add_array("n.bools", [True, False])
    tensors = {"f32": rng.normal(size=(3, 5)).astype(np.float32), "f16": rng.normal(size=(2, 3, 4)).astype(np.float16), "vector": np.arange(7, dtype=np.float32)}
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    quantised = rng.normal(size=(2, 64)).astype(np.float32)
    writer.add_tensor("q8_0", quantize(quantised, T.Q8_0), raw_dtype=T.Q8_0)
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
    tensors["q8_0"] = dequantize(quantize(quantised, T.Q8_0), T.Q8_0)
    return {name: {"shape": list(v.shape), "f32": text(v.astype(np.float32))} for name, v in tensors.items()}


WIDTH, MLP, HEADS, KV_HEADS, HEAD, LAYERS, CONTEXT = 64, 96, 4, 2, 16, 2, 128
PIECES = pathlib.Path(__file__).parent.parent / "test/golden/models/end-to-end/tokenizer.model"


def write_model(path, architecture, rng):
    """Random weights of mixed types; the vocabulary is the end-to-end model's."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(PIECES))
    rows = pieces.vocab_size()
    kinds = [(pieces.is_unknown, 2), (pieces.is_control, 3), (pieces.is_unused, 5), (pieces.is_byte, 6)]
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_name("tiny " + architecture); writer.add_context_length(CONTEXT); writer.add_embedding_length(WIDTH); writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP); writer.add_head_count(HEADS); writer.add_head_count_kv(KV_HEADS); writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(50000.0); writer.add_rope_dimension_count(HEAD); writer.add_vocab_size(rows)
    writer.add_tokenizer_model("llama"); writer.add_token_list([pieces.id_to_piece(i) for i in range(rows)])
    writer.add_token_scores([pieces.get_score(i) for i in range(rows)])
    writer.add_token_types([next((k for test, k in kinds if test(i)), 1) for i in range(rows)])
    writer.add_bos_token_id(1); writer.add_eos_token_id(2); writer.add_unk_token_id(0)

    def add(name, shape, kind, scale=0.2, mean=0.0):
        values = rng.normal(mean, scale, shape).astype(np.float32)
        if kind in ("F32", "F16"):
            writer.add_tensor(name, values.astype(np.float16 if kind == "F16" else np.float32))
        else:
            writer.add_tensor(name, quantize(values, T[kind]), raw_dtype=T[kind])

    add("token_embd.weight", (rows, WIDTH), "Q8_0", 1.0); add("output_norm.weight", (WIDTH,), "F32", 0.1, 1.0)
    if architecture == "llama":
        add("output.weight", (rows, WIDTH), "BF16")
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        add(prefix + "attn_norm.weight", (WIDTH,), "F32", 0.1, 1.0); add(prefix + "ffn_norm.weight", (WIDTH,), "F32", 0.1, 1.0)
        for name, width, kind in [("q", HEADS * HEAD, "Q8_0"), ("k", KV_HEADS * HEAD, "F16"), ("v", KV_HEADS * HEAD, "Q5_0")]:
            add(f"{prefix}attn_{name}.weight", (width, WIDTH), kind)
            if architecture == "qwen2":
                add(f"{prefix}attn_{name}.bias", (width,), "F32")
        add(prefix + "attn_output.weight", (WIDTH, HEADS * HEAD), "Q4_1")
        add(prefix + "ffn_gate.weight", (MLP, WIDTH), "Q5_1"); add(prefix + "ffn_up.weight", (MLP, WIDTH), "F32"); add(prefix + "ffn_down.weight", (WIDTH, MLP), "Q4_0")
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()


def model_golden(path, rng):
    model = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager").eval()
    ids = rng.integers(3, model.config.vocab_size, 24).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1]
        greedy = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=32, do_sample=False, eos_token_id=None, pad_token_id=0)[0, len(ids):].tolist()
    return {"ids": ids, "logits": text(logits.numpy()), "greedy": greedy}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    dequantised, written = {}, {}
    for name in TYPES:
        blocks = random_blocks(rng, name, 6)
        dequantised[name] = {"blocks": text(blocks), "f32": text(dequantize(blocks, T[name]).astype(np.float32))}
    values = rng.normal(0, 0.05, (24, 32)).astype(np.float32)
    values[0], values[1, :4] = 0, [5.0, -5.0, 2.5, -0.0]
    for name in ["Q8_0", "Q4_0"]:
        written[name] = text(quantize(values, T[name]))
    models = {}
    for architecture in ["llama", "qwen2"]:
        path = out / f"{architecture}.gguf"
        write_model(path, architecture, rng)
        models[architecture] = model_golden(path, rng)
    golden = {"source": SOURCE, "dequantised": dequantised, "quantised": {"f32": text(values), **written}, "small": write_small(out / "small.gguf", rng), "models": models}
    (out / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
