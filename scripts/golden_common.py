"""What the model and training golden makers share: tiny seeded models, and golden files (JSON + safetensors).

Not a program. See README.md in this folder for the layout of what is written.
"""

import json
import pathlib
import platform
import re

import safetensors.torch
import torch
import transformers

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "test" / "golden"
VERSIONS = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.use_deterministic_algorithms(True)
torch.set_num_threads(1)


def source(script, **facts):
    """The `source` field of a golden."""
    return {"script": f"scripts/{script}", "versions": VERSIONS, "dtype": "float32", "attention": "eager", **facts}


def randomize(model, seed, embedding_scale=1.0):
    """Fills every parameter so that none can be ignored unnoticed: norms are not 1, biases are not 0, attention is not flat."""
    random = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=random)
        parameter.data = offset(name) + deviation(name, parameter, embedding_scale) * noise
    return model.eval().float()


def offset(name):
    if name == "logit_scale":
        return 2.0
    return 1.0 if re.search(r"norm\w*\.weight$", name) else 0.0


def deviation(name, parameter, embedding_scale):
    if name == "logit_scale" or re.search(r"norm\w*\.weight$", name) or name.endswith(".bias"):
        return 0.2
    if "embed" in name and "patch" not in name:
        return embedding_scale
    fan_in = parameter[0].numel()
    return fan_in**-0.5


def random_ids(count, vocabulary, seed):
    """`count` token ids of 3 … vocabulary − 1."""
    return torch.randint(3, vocabulary, (count,), generator=torch.Generator().manual_seed(seed))


def random_pixels(count, side, seed):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def noise(expected, actual):
    """Largest difference over largest value: what the tests call relative error."""
    return float(f"{((expected - actual).abs().max() / expected.abs().max()).item():.2g}")


def write_json(path, value):
    """JSON with lists of plain values on one line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(indent(value, "") + "\n", encoding="utf-8")


def indent(value, margin):
    inner = margin + " "
    if isinstance(value, dict) and value:
        rows = [f"{inner}{json.dumps(key)}: {indent(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{margin}}}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return "[\n" + ",\n".join(inner + indent(item, inner) for item in value) + f"\n{margin}]"
    return json.dumps(value, ensure_ascii=False)


def write_tensors(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)


def make_readable(folder):
    """safetensors writes files that only their owner may read."""
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)


def hub_name(name):
    """Weight name in the layout of the published llava-hf files, from the name in a transformers 5 LLaVA in memory."""
    rules = (
        (r"^model\.language_model\.", "language_model.model."),
        (r"^lm_head\.", "language_model.lm_head."),
        (r"^model\.vision_tower\.(vision_model\.)?", "vision_tower.vision_model."),
        (r"^model\.multi_modal_projector\.", "multi_modal_projector."),
    )
    for pattern, replacement in rules:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    raise KeyError(name)
