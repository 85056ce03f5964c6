"""Makes test/golden/gguf/: blocks of every quantised type with the values that the `gguf` package gives them, a small file
of that package's writer, and its own quantised bytes for the types that this project writes.

    python scripts/make_gguf_goldens.py --out test/golden/gguf
"""
import argparse, base64, json, pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

SOURCE = f"gguf {gguf.__version__ if hasattr(gguf, '__version__') else '0.19.0'}, numpy {np.__version__}; scripts/make_gguf_goldens.py"
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
    golden = {"source": SOURCE, "dequantised": dequantised, "quantised": {"f32": text(values), **written}, "small": write_small(out / "small.gguf", rng)}
    (out / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
