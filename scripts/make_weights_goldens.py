"""Makes test/golden/weights/: files of the reference safetensors library, and its verdict on hostile ones.

    python scripts/make_weights_goldens.py --out test/golden/weights
    python scripts/make_weights_goldens.py --check FOLDER

The second form loads FOLDER/*.safetensors, written by this project, with the reference library and prints what it sees:
run by hand, it proves that Python reads what we write.

`stories260K/` beside the made files is not made here: it is karpathy/tinyllamas/stories260K (MIT) of Hugging Face, and
`story.json` is the text that test_all.py of karpathy/llama2.c (MIT) expects from it.
"""
import argparse, base64, json, pathlib, struct

import huggingface_hub
import safetensors
import safetensors.torch
import torch

SOURCE = f"safetensors {safetensors.__version__}, torch {torch.__version__.split('+')[0]}, huggingface_hub {huggingface_hub.__version__}; scripts/make_weights_goldens.py"
FLOATS = [0.0, -0.0, 1.0, -2.5, 0.1, 65504.0, 6e-8, float("inf"), float("-inf"), float("nan"), 3.3895e38, 1e-40]
FLOAT_DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
INT_DTYPES = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8]
ODD_NAMES = ["", "10", "9", "__proto__", 'quote " slash \\ tab \t', "\x01\x1f\x7f", "é", "数", "😀", "\uffff", "\u2028", "a/b", "model.layers.0.weight"]


def make_tensors():
    tensors = {}
    for dtype in FLOAT_DTYPES:
        tensors[f"values.{dtype}"] = torch.tensor(FLOATS, dtype=torch.float64).to(dtype).reshape(3, 4)
    for dtype in INT_DTYPES:
        info = torch.iinfo(dtype)
        tensors[f"values.{dtype}"] = torch.tensor([info.min, info.max, 0, 1, 7, 100], dtype=dtype).reshape(2, 3)
    tensors["values.torch.bool"] = torch.tensor([[True, False, True]])
    tensors["scalar"] = torch.tensor(1.5)
    tensors["empty"] = torch.zeros(0, 3)
    tensors["rank6"] = torch.arange(12, dtype=torch.int32).reshape(1, 2, 1, 3, 1, 2)
    for i, name in enumerate(ODD_NAMES):
        tensors[name] = torch.tensor([i], dtype=torch.float16 if i % 2 else torch.int64)
    return tensors


def describe(tensor):
    values = tensor.double().tolist() if tensor.dtype.is_floating_point else tensor.tolist()
    flat = torch.tensor(values, dtype=torch.float64).flatten().tolist() if tensor.dtype.is_floating_point else tensor.flatten().tolist()
    raw = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "values": [str(v) for v in flat], "hex": raw.hex()}


def container(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def info(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def hostile_cases():
    eight = bytes(8)
    one = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
    yield "valid", container({"a": info()}, eight)
    yield "no tensors", container("{}")
    yield "no tensors, 8 bytes of data", container("{}", eight)
    yield "metadata only", container('{"__metadata__":{"a":"b"}}')
    yield "metadata null", container('{"__metadata__":null}')
    yield "metadata of numbers", container('{"__metadata__":{"a":1}}')
    yield "metadata a list", container('{"__metadata__":[]}')
    yield "metadata twice", container('{"__metadata__":{"a":"b"},"__metadata__":{"a":"c"}}')
    yield "metadata key twice", container('{"__metadata__":{"a":"b","a":"c"}}')
    yield "padding spaces", container(json.dumps({"a": info()}) + " " * 9, eight)
    yield "padding newline", container(json.dumps({"a": info()}) + "\n", eight)
    yield "padding NUL", container(json.dumps({"a": info()}) + "\0", eight)
    yield "leading space", container(" " + json.dumps({"a": info()}), eight)
    yield "byte order mark", container(b"\xef\xbb\xbf" + json.dumps({"a": info()}).encode(), eight)
    yield "indented", container(json.dumps({"a": info()}, indent=2), eight)
    yield "empty file", b""
    yield "7 bytes", bytes(7)
    yield "length 0", bytes(8)
    yield "length 0 and data", bytes(16)
    yield "length beyond the file", container({"a": info()}, b"", length=1000)
    yield "length one too large", container("{}", b"", length=3)
    yield "length one too small", container({"a": info()}, eight, length=len(json.dumps({"a": info()})) - 1)
    yield "length over 100 MB", container("{}", b"", length=100_000_001)
    yield "length 2^63", container("{}", b"", length=2**63)
    yield "length 2^64-1", container("{}", b"", length=2**64 - 1)
    yield "truncated data", container({"a": info()}, bytes(7))
    yield "data left over", container({"a": info()}, bytes(9))
    yield "not UTF-8", container(b'{"\xff":' + one.encode() + b"}", eight)
    yield "not JSON", container("{a}", eight)
    yield "a list", container("[]")
    yield "a string", container('"a"')
    yield "null", container("null")
    yield "unclosed", container('{"a":' + one, eight)
    yield "trailing comma", container('{"a":' + one + ",}", eight)
    yield "two documents", container('{"a":' + one + "}{}", eight)
    yield "deep nesting", container("[" * 1000)
    yield "deep nesting in a tensor", container('{"a":' + "[" * 1000)
    yield "tensor a number", container('{"a":1}')
    yield "tensor null", container('{"a":null}')
    yield "tensor without dtype", container({"a": {"shape": [2], "data_offsets": [0, 8]}}, eight)
    yield "tensor without shape", container({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, eight)
    yield "tensor without offsets", container({"a": {"dtype": "F32", "shape": [2]}}, eight)
    yield "unknown field", container({"a": info(extra=1)}, eight)
    yield "dtype twice", container('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', eight)
    yield "unknown dtype", container({"a": info(dtype="F31")}, eight)
    yield "lower-case dtype", container({"a": info(dtype="f32")}, eight)
    yield "dtype a number", container({"a": info(dtype=32)}, eight)
    yield "dtype toString", container({"a": info(dtype="toString")}, eight)
    yield "8-bit float", container({"a": info(dtype="F8_E4M3", shape=[8])}, eight)
    yield "negative dimension", container({"a": info(shape=[-2])}, eight)
    yield "two negative dimensions", container({"a": info(shape=[-1, -2])}, eight)
    yield "fractional dimension", container({"a": info(shape=[2.0])}, eight)
    yield "dimension 2e0", container('{"a":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}', eight)
    yield "dimension 02", container('{"a":{"dtype":"F32","shape":[02],"data_offsets":[0,8]}}', eight)
    yield "dimension a string", container({"a": info(shape=["2"])}, eight)
    yield "shape a number", container('{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}', eight)
    yield "dimension 2^64", container({"a": info(shape=[2**64])}, eight)
    yield "product 2^64 + 2", container({"a": info(shape=[2**32, 2**32])}, eight)
    yield "product overflows to the size", container({"a": info(shape=[2**62 + 2])}, eight)
    yield "huge dimensions and a zero", container({"a": info(shape=[2**40, 2**40, 0], offsets=[0, 0])})
    yield "a zero and huge dimensions", container({"a": info(shape=[0, 2**40, 2**40], offsets=[0, 0])})
    yield "shape larger than offsets", container({"a": info(shape=[3])}, eight)
    yield "shape smaller than offsets", container({"a": info(shape=[1])}, eight)
    yield "one offset", container({"a": info(offsets=[0])}, eight)
    yield "three offsets", container({"a": info(offsets=[0, 8, 8])}, eight)
    yield "offsets reversed", container({"a": info(offsets=[8, 0])}, eight)
    yield "negative offsets", container({"a": info(offsets=[-8, 0])}, eight)
    yield "offsets out of file", container({"a": info(offsets=[8, 16])}, eight)
    yield "offset 2^64", container({"a": info(offsets=[2**64 - 8, 2**64])}, eight)
    yield "hole at the start", container({"a": info(offsets=[8, 16])}, bytes(16))
    yield "hole inside", container({"a": info(), "b": info(offsets=[12, 20])}, bytes(20))
    yield "overlap", container({"a": info(), "b": info(offsets=[4, 12])}, bytes(12))
    yield "same bytes twice", container({"a": info(), "b": info()}, eight)
    yield "listed backwards", container({"b": info(offsets=[8, 16]), "a": info()}, bytes(16))
    yield "name twice, same range", container('{"a":' + one + ',"a":' + one + "}", eight)
    yield "name twice, two dtypes", container('{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":' + one + "}", eight)
    yield "name twice, one escaped", container('{"a":' + one + ',"\\u0061":' + one + "}", eight)
    yield "empty tensors between", container({"a": info(), "z": info(shape=[0], offsets=[8, 8]), "b": info(offsets=[8, 16])}, bytes(16))
    yield "empty tensor inside another", container({"a": info(), "z": info(shape=[0], offsets=[4, 4])}, eight)
    yield "lone surrogate as a name", container('{"\\ud800":' + one + "}", eight)
    yield "control character in a name", container('{"a\nb":' + one + "}", eight)
    yield "bad escape in a name", container('{"\\x61":' + one + "}", eight)
    yield "misaligned", container({"b": info(dtype="U8", shape=[1], offsets=[0, 1]), "a": info(offsets=[1, 9])}, bytes(9))


def is_accepted(data):
    try:
        safetensors.deserialize(data)
        return True
    except safetensors.SafetensorError:
        return False


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def make(out):
    out.mkdir(parents=True, exist_ok=True)
    tensors = make_tensors()
    (out / "dtypes.safetensors").write_bytes(safetensors.torch.save(tensors, metadata={"format": "pt"}))
    write_json(out / "dtypes.json", {"source": SOURCE, "tensors": {name: describe(t) for name, t in tensors.items()}})
    generator = torch.Generator().manual_seed(1)
    (out / "sharded").mkdir(exist_ok=True)
    state = {f"layers.{i}.{kind}": torch.randn(4, 8, generator=generator) for i in range(3) for kind in ("weight", "bias")}
    huggingface_hub.save_torch_state_dict(state, out / "sharded", max_shard_size=300)
    cases = [{"name": name, "accepted": is_accepted(data), "bytes": base64.b64encode(data).decode()} for name, data in hostile_cases()]
    write_json(out / "headers.json", {"source": SOURCE, "cases": cases})


def check(folder):
    for path in sorted(folder.glob("*.safetensors")):
        tensors = safetensors.torch.load_file(path)
        with safetensors.safe_open(path, "pt") as file:
            print(path.name, file.metadata())
        for name, tensor in tensors.items():
            print(f"  {json.dumps(name)} {describe(tensor)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--check", type=pathlib.Path)
    options = parser.parse_args()
    if options.out:
        make(options.out)
    if options.check:
        check(options.check)
