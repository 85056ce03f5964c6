"""Converts goldens with `llava convert`, loads what comes out in Python `transformers` and writes its answers.

    npm run build && python scripts/make_convert_goldens.py

Writes test/golden/convert.json: {source, image, question, cases: {<case>: {chain, files, leftovers, prompt, prompt_ids, token_ids,
text, margin}}}. `chain`: the folder under test/golden/models that a case begins with (`plain`: end-to-end as if nobody had added
`<image>` and `<pad>` to its vocabulary), then the layouts it is converted to, one after another. `files`: sha256 of what
transformers read, so that the tests know its answer stands for their bytes. Prompt and pixels come from AutoProcessor alone.
"""

import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile

import safetensors.torch
import torch
import transformers
from golden_common import indent
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "test/golden/models"
MAIN = ROOT / "dist/app/cli/main.js"
QUESTION = "What is in the picture?"
CASES = {
    "hf": ["end-to-end", "hf"],
    "hf-new": ["end-to-end", "hf-new"],
    "there-and-back": ["end-to-end", "original", "hf"],
    "next-there-and-back": ["llava-next", "original", "hf"],
    "grown-vocabulary": ["plain", "original", "hf"],
    "grown-vocabulary-bf16": ["plain", "original", "hf --dtype bf16"],
}
PLAIN_ROWS = 340


def plain_vocabulary(folder):
    """The end-to-end model with its 340 first tokens and rows only."""
    shutil.copytree(MODELS / "end-to-end", folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    cut = {name: t[:PLAIN_ROWS].clone() if "embed_tokens" in name or "lm_head" in name else t for name, t in weights.items()}
    safetensors.torch.save_file(cut, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder / "tokenizer.json", lambda j: j | {"added_tokens": [t for t in j["added_tokens"] if t["id"] < PLAIN_ROWS]})
    edit(folder / "tokenizer_config.json", lambda j: j | {"pad_token": "<unk>", "extra_special_tokens": []})
    edit(folder / "config.json", lambda j: j | {"text_config": j["text_config"] | {"vocab_size": PLAIN_ROWS, "pad_token_id": 0}})
    edit(folder / "generation_config.json", lambda j: j | {"pad_token_id": 0})


def edit(path, change):
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")


def convert_chain(chain, work):
    """The last folder of a chain of conversions. Folders are called as the golden: the name goes into config.json."""
    first, *steps = chain
    folder = work / "0" / first
    if first == "plain":
        folder.parent.mkdir()
        plain_vocabulary(folder)
    else:
        shutil.copytree(MODELS / first, folder)
    for i, step in enumerate(steps):
        target = work / str(i + 1)
        subprocess.run(["node", MAIN, "convert", folder, target, "--to", *step.split()], check=True, stdout=subprocess.DEVNULL)
        folder = target
    return folder


@torch.no_grad()
def answer(folder, image):
    processor = AutoProcessor.from_pretrained(folder)
    model, report = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=image, text=prompt, return_tensors="pt")
    out = model.eval().generate(
        **inputs, do_sample=False, max_new_tokens=24, output_logits=True, return_dict_in_generate=True
    )
    best = torch.stack(out.logits).squeeze(1).topk(2).values
    ids = out.sequences[0, inputs.input_ids.shape[1] :].tolist()
    return {
        "model": type(model).__name__,
        "leftovers": sorted(str(name) for kind in ("missing", "unexpected", "mismatched") for name in report[f"{kind}_keys"]),
        "prompt": prompt,
        "prompt_ids": inputs.input_ids[0].tolist(),
        "token_ids": ids,
        "text": processor.tokenizer.decode(ids, skip_special_tokens=True),
        "margin": (best[:, 0] - best[:, 1]).min().item(),
    }


def main():
    torch.manual_seed(0)
    image = Image.open(MODELS / "end-to-end/image.png").convert("RGB")
    cases = {}
    for name, chain in CASES.items():
        with tempfile.TemporaryDirectory() as work:
            folder = convert_chain(chain, pathlib.Path(work))
            read = ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
            files = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in read}
            cases[name] = {"chain": chain, "files": files, **answer(folder, image)}
    source = f"scripts/make_convert_goldens.py, transformers {transformers.__version__}, torch {torch.__version__}"
    golden = {"source": source, "image": "end-to-end/image.png", "question": QUESTION, "cases": cases}
    (ROOT / "test/golden/convert.json").write_text(indent(golden, "") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
