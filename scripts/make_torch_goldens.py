"""Makes test/golden/torch/: files of torch.save in both formats, hostile pickles, and what torch reads from them; adapters
of peft with the weights that peft merges from them; a delta with what LLaVA's rule makes of it.

    python scripts/make_torch_goldens.py
    python scripts/make_torch_goldens.py --check FILE          loads a file that this project wrote, prints what torch sees
    python scripts/make_torch_goldens.py --check-lora FOLDER   loads a LoRA folder that this project wrote, with peft

`tensors.json`: {source, tensors: {name: {dtype, shape, hex}}} of both `zip.bin` and `legacy.bin`, hex row by row.
`hostile.json`: {source, cases: [{name, data (base64), global}]}: torch.load(weights_only=True) refuses each.
"""

import base64
import io
import json
import pathlib
import pickle
import shutil
import struct
import sys
import zipfile

import peft
import safetensors.torch
import torch
import transformers

from golden_common import GOLDEN, VERSIONS, randomize

OUT = GOLDEN / "torch"
SOURCE = {"script": "scripts/make_torch_goldens.py", "versions": {**VERSIONS, "peft": peft.__version__}}
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
WIDE = [torch.uint16, torch.uint32, torch.uint64]


def tensors(dtypes):
    values = {f"values.{dtype}": torch.arange(-5, 7).reshape(3, 4).to(dtype) for dtype in dtypes}
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    views = {
        "whole": base,
        "rows": base[1:3],
        "transposed": base.t(),
        "columns": base[:, 1:3],
        "strided": base[::2, ::3],
        "permuted": base.reshape(2, 3, 4).permute(2, 0, 1),
        "element": base[2, 3],
        "expanded": base[0].expand(3, 6),
        "one row": torch.arange(5).expand(1, -1),
        "empty": torch.zeros(0, 3),
        "no columns": base[:, :0],
        "parameter": torch.nn.Parameter(torch.tensor([1.5, -2.5])),
        "half transposed": base.half().t(),
        "longs transposed": base.long().t(),
    }
    return {**values, **views}


def describe(tensor):
    flat = tensor.detach().contiguous().flatten()
    raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "hex": raw.hex()}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def make_files():
    new, old = tensors(DTYPES + WIDE), tensors(DTYPES)
    module = torch.nn.Linear(2, 2)  # its state dict is an OrderedDict with attributes
    new_dict = module.state_dict()
    with torch.no_grad():
        new_dict["weight"].copy_(torch.eye(2))
        new_dict["bias"].copy_(torch.tensor([3.0, 4.0]))
    new_dict.update(new)
    torch.save(new_dict, OUT / "zip.bin")
    torch.save(old, OUT / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save(old, OUT / "protocol5.bin", pickle_protocol=5)
    deflate(OUT / "zip.bin", OUT / "deflated.bin")
    everything = {name: describe(tensor) for name, tensor in new_dict.items()}
    write_json(OUT / "tensors.json", {"source": SOURCE, "tensors": everything})


def deflate(source, target):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for record in old.infolist():
            new.writestr(zipfile.ZipInfo(record.filename), old.read(record), zipfile.ZIP_DEFLATED)


class Call:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def archive(data, records=()):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("archive/data.pkl"), data)
        for name, content in records:
            file.writestr(zipfile.ZipInfo(name), content)
        file.writestr(zipfile.ZipInfo("archive/version"), "3\n")
    return buffer.getvalue()


def hostile_pickles():
    import os
    import subprocess

    yield "os.system", "posix.system", pickle.dumps({"w": Call(os.system, "touch /tmp/llava-hostile")}, 2)
    yield "subprocess", "commands.Popen", pickle.dumps({"w": Call(subprocess.Popen, ["true"])}, 2)
    yield "eval", "__builtin__.eval", pickle.dumps({"w": Call(eval, "1+1")}, 2)
    yield "exec of protocol 4", "builtins.exec", pickle.dumps({"w": Call(exec, "x=1")}, 4)
    yield "getattr", "__builtin__.getattr", pickle.dumps({"w": Call(getattr, "a", "upper")}, 2)
    yield "a pickle within a pickle", "pickle.loads", b"\x80\x02cpickle\nloads\n(U\x02N.tR."
    yield "torch.load", "torch.serialization.load", b"\x80\x02ctorch.serialization\nload\n(X\x01\x00\x00\x00atR."
    yield "names of other modules", "torch._utils.sys", b"\x80\x02ctorch._utils\nsys\n."
    yield "a known name of another module", "os.OrderedDict", b"\x80\x02cos\nOrderedDict\n)R."
    yield "dotted names", "torch.nn.Linear.__init__", b"\x80\x04\x8c\x05torch\x8c\x12nn.Linear.__init__\x93."
    yield "instances", "os.system", b"\x80\x02cos\nsystem\n(X\x01\x00\x00\x00ao."
    yield "text of protocol 0", "posix.system", b"cposix\nsystem\n(S'true'\ntR."
    yield "the extension registry", "", b"\x80\x02\x82\x01."


def make_hostile():
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    system = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
    cases = []
    for name, wanted, data in hostile_pickles():
        for kind, file in [("zip", archive(data)), ("legacy", magic + system + data + b"\x80\x02].")]:
            try:
                torch.load(io.BytesIO(file), weights_only=True)
            except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
                cases.append({"name": f"{name} ({kind})", "data": base64.b64encode(file).decode(), "global": wanted})
            else:
                sys.exit(f"torch reads {name}")
    write_json(OUT / "hostile.json", {"source": SOURCE, "cases": cases})


def tiny_llama(seed, dtype=torch.float32, vocab=64):
    config = transformers.LlamaConfig(
        vocab_size=vocab, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=64, tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    return randomize(transformers.LlamaForCausalLM(config), seed).to(dtype)


def save_sharded(state, folder):
    """As transformers before version 5 did: shards of torch files and an index."""
    folder.mkdir(parents=True)
    names = sorted(state)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    weight_map = {}
    for i, half in enumerate(halves):
        file = f"pytorch_model-{i + 1:05}-of-{len(halves):05}.bin"
        torch.save({name: state[name].clone() for name in half}, folder / file)
        weight_map.update({name: file for name in half})
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    write_json(folder / "pytorch_model.bin.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def projector(seed, dtype=torch.float32):
    random = torch.Generator().manual_seed(seed)
    shapes = {"0.weight": (16, 12), "0.bias": (16,), "2.weight": (16, 16), "2.bias": (16,)}
    return {name: torch.randn(shape, generator=random).to(dtype) for name, shape in shapes.items()}


def fill_adapters(model, seed):
    random = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name:
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=random)


def make_lora():
    """`base`: what the adapters were trained on; `safetensors`, `bin`, `half`: folders as peft and LLaVA's trainer save them."""
    base = tiny_llama(1)
    base.config.save_pretrained(OUT / "lora" / "base")
    safetensors.torch.save_file(base.state_dict(), OUT / "lora" / "base" / "model.safetensors", {"format": "pt"})
    cases = {
        "safetensors": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "up_proj"]},
        "bin": {"r": 2, "lora_alpha": 3, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], "use_rslora": True},
    }
    for name, options in cases.items():
        folder = OUT / "lora" / name
        model = peft.get_peft_model(tiny_llama(1), peft.LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.05, **options))
        fill_adapters(model, 7)
        model.save_pretrained(folder, safe_serialization=name == "safetensors")
        extra = {f"base_model.model.model.mm_projector.{key}": value for key, value in projector(3).items()}
        if name == "bin":
            # As torch.save of a plain state dict has them.
            state = {key: value for key, value in model.state_dict().items() if "lora_" in key}
            torch.save(state, folder / "adapter_model.bin")
        torch.save(extra, folder / "non_lora_trainables.bin")
        (folder / "README.md").unlink(missing_ok=True)
        merged = model.merge_and_unload().state_dict()
        merged.update({f"model.mm_projector.{key}": value for key, value in projector(3).items()})
        safetensors.torch.save_file({key: value.contiguous() for key, value in merged.items()}, folder / "merged.safetensors")


def make_lora_llava():
    """`llava`: an adapter of the whole of a LLaVA, projector included, and the greedy answer of the merged model."""
    source = GOLDEN / "models" / "end-to-end"
    model = transformers.LlavaForConditionalGeneration.from_pretrained(source, attn_implementation="eager")
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], modules_to_save=["multi_modal_projector"])
    model = peft.get_peft_model(model, config)
    model.peft_config["default"].base_model_name_or_path = "llava-hf/end-to-end"
    fill_adapters(model, 11)
    for name, parameter in sorted(model.named_parameters()):
        if "modules_to_save" in name:
            parameter.data *= 1.5
    model.save_pretrained(OUT / "lora" / "llava")
    (OUT / "lora" / "llava" / "README.md").unlink(missing_ok=True)
    points = safetensors.torch.load_file(source / "golden.safetensors")
    inputs = {name: points[f"v1.{name}"] for name in ["input_ids", "pixel_values"]}
    steps = model.merge_and_unload().generate(
        **inputs, attention_mask=torch.ones_like(inputs["input_ids"]), max_new_tokens=32, do_sample=False, suppress_tokens=None, eos_token_id=[-1], return_dict_in_generate=True, output_scores=True
    )
    margin = min((top[0, 0] - top[0, 1]).item() for top in (score.topk(2).values for score in steps.scores))
    greedy = steps.sequences[0, inputs["input_ids"].shape[1] :].tolist()
    write_json(OUT / "lora" / "llava" / "golden.json", {"source": SOURCE, "case": "v1", "greedy": greedy, "smallest_margin": margin})


def make_delta():
    """The base, the target, and target − base under the rule of LLaVA's v0 and v1 releases, in f16 as these were."""
    base = {name: tensor.half() for name, tensor in tiny_llama(1).state_dict().items()}
    target = {name: tensor.half() for name, tensor in tiny_llama(2, vocab=67).state_dict().items()}
    for name, tensor in base.items():
        near = tensor + 0.05 * target[name][tuple(slice(0, size) for size in tensor.shape)]
        target[name][tuple(slice(0, size) for size in tensor.shape)] = near
    for key, value in projector(5, torch.float16).items():
        target[f"model.mm_projector.{key}"] = value
    delta = {name: tensor.clone() for name, tensor in target.items()}
    for name, tensor in base.items():
        delta[name][tuple(slice(0, size) for size in tensor.shape)] -= tensor
    applied = {name: tensor.clone() for name, tensor in delta.items()}
    for name, tensor in base.items():
        applied[name][tuple(slice(0, size) for size in tensor.shape)] += tensor
    folder = OUT / "delta"
    save_sharded(delta, folder / "delta")
    (folder / "base").mkdir()
    torch.save(base, folder / "base" / "pytorch_model.bin")
    safetensors.torch.save_file(target, folder / "target.safetensors")
    safetensors.torch.save_file(applied, folder / "applied.safetensors")


def make_projector():
    """mm_projector.bin as stage 1 saves it, with the embeddings that `mm_use_im_start_end` trains too."""
    folder = OUT / "projector"
    folder.mkdir()
    state = {f"model.mm_projector.{key}": value.bfloat16() for key, value in projector(6).items()}
    torch.save(state, folder / "mm_projector.bin")
    safetensors.torch.save_file({key: value.float() for key, value in state.items()}, folder / "expected.safetensors")


def check(path):
    state = torch.load(path, weights_only=True, map_location="cpu")
    mapped = torch.load(path, weights_only=True, mmap=True)
    assert all(torch.equal(state[name].view(torch.uint8), mapped[name].view(torch.uint8)) for name in state if state[name].numel() and state[name].dim())
    print(json.dumps({name: describe(tensor) for name, tensor in state.items()}))


def check_lora(folder):
    """Loads the adapter into the golden base, merges it, and prints the sum of each tensor that changed."""
    base = transformers.LlamaForCausalLM.from_pretrained(OUT / "lora" / "base")
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    merged = peft.PeftModel.from_pretrained(base, folder).merge_and_unload().state_dict()
    print(json.dumps({name: describe(tensor) for name, tensor in merged.items() if not torch.equal(tensor, before[name])}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2])
    elif sys.argv[1:2] == ["--check-lora"]:
        check_lora(sys.argv[2])
    else:
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir()
        make_files()
        make_hostile()
        make_lora()
        make_lora_llava()
        make_delta()
        make_projector()
