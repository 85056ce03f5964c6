"""Answers a question about an image from a folder of `llava convert … --to onnx`, with Python's onnxruntime alone.

    pip install -r scripts/requirements.txt
    llava convert MODEL EXPORT --to onnx
    python scripts/check_onnx.py EXPORT IMAGE QUESTION [--max-new 32] [--template v1|v1_brief|plain] [--pad]

Proves that the files run where nothing of this project is, and answer as `llava ask` does (the same options there). Pictures and
ids are made by `transformers` from the settings that lie beside the files. Prints JSON: token_ids and text of the greedy answer,
and how the cache was kept: once growing from nothing, once of fixed room; both must give the same tokens (else exit code 1).
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime
from check_checkpoint import TEMPLATES, load_image_processor, load_tokenizer, pad_to_square, parse_arguments, tokenize
from golden_common import indent
from PIL import Image, ImageOps
from transformers import AutoConfig


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def expand(ids, image_token, rows):
    """The ids with the image token once per row of features."""
    return [i for token in ids for i in [token] * (rows if token == image_token else 1)]


def greedy(decoder, manifest, ids, features, max_new, room):
    """Token ids that follow, as the export's README says; room 0 lets the cache grow."""
    is_image = np.array(ids) == manifest.get("imageTokenId", -1)
    source = np.arange(len(ids))
    source[is_image] = len(ids) + np.arange(is_image.sum())
    shape = (1, manifest["keyValueHeads"], room, manifest["headSize"])
    names = [f"{layer}.{kind}" for layer in range(manifest["layers"]) for kind in ("key", "value")]
    past = {name: np.zeros(shape, np.float32) for name in names}
    run, length, written = np.where(is_image, 0, ids), len(ids), []
    while len(written) < max_new:
        feeds = {
            "ids": run[None].astype(np.int64),
            "source": source[None].astype(np.int64),
            "features": features,
            "rows": np.array([len(run) - 1], np.int64),
            "lastPosition": np.array([length - 1], np.int32),
            "totalLength": np.array(length, np.int32),
            **{f"past.{name}": value for name, value in past.items()},
        }
        outputs = dict(zip([o.name for o in decoder.get_outputs()], decoder.run(None, feeds)))
        past = {name: outputs[f"present.{name}"] for name in names}
        token = int(outputs["logits"][0].argmax())
        written.append(token)
        if token in manifest["eosTokenIds"]:
            break
        run, source, length = np.array([token]), np.array([0]), length + 1
        features = features[:0]
    return written


def main():
    options = parse_arguments("Answer a question about an image with onnxruntime, from an exported folder.")
    folder = options.folder
    manifest = json.loads((folder / "onnx.json").read_text(encoding="utf-8"))
    config = AutoConfig.from_pretrained(folder)
    tokenizer = load_tokenizer(folder)
    image_processor = load_image_processor(folder, config)
    image = ImageOps.exif_transpose(Image.open(options.image)).convert("RGB")
    if options.pad:
        image = pad_to_square(image, image_processor.image_mean)
    pixels = image_processor(images=image, return_tensors="np").pixel_values.astype(np.float32)
    (features,) = session(folder / "vision.onnx").run(["features"], {"pixels": pixels})
    features = features.reshape(-1, manifest["hiddenSize"])
    prompt = TEMPLATES[options.template].format(options.question)
    ids = tokenize(tokenizer, prompt, config.image_token_id, config.text_config.bos_token_id)
    ids = expand(ids, config.image_token_id, len(features))
    decoder = session(folder / "decoder.onnx")
    growing, fixed = (greedy(decoder, manifest, ids, features, options.max_new, room) for room in (0, len(ids) + options.max_new))
    report = {
        "onnxruntime": onnxruntime.__version__,
        "image_tokens": len(features),
        "token_ids": growing,
        "text": tokenizer.decode(growing, skip_special_tokens=True).strip(),
        "same_with_fixed_room": growing == fixed,
    }
    print(indent(report, ""))
    sys.exit(0 if growing == fixed else 1)


if __name__ == "__main__":
    main()
