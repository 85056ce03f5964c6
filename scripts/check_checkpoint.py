"""Loads a LLaVA checkpoint folder with Python `transformers` and answers a question about an image, greedily.

    pip install -r scripts/requirements.txt
    python scripts/check_checkpoint.py FOLDER IMAGE QUESTION [--max-new 32] [--template v1|v1_brief|plain] [--pad]

Proves that a folder written by this project is one that Python loads, and that both give the same answer. Prints JSON:

    model         class and number of parameters
    leftovers     weights that are missing, unexpected or of the wrong shape (empty lists when all is well; exit code 1 if not)
    prompt        text with one `<image>`; prompt_ids: its token ids, text on each side of `<image>` tokenised on its own
    image_tokens  how many positions the image takes
    token_ids     the greedy answer, end token included if it was reached; text: the same, decoded
    margin        smallest lead of a chosen token's logit over the runner-up's: below 1e-3 another machine may choose otherwise
    processor     whether AutoProcessor loads from the folder and gives the same pixels and ids, or why it does not load

Image and text settings come from the folder: preprocessor_config.json, tokenizer.json or tokenizer.model.
"""

import argparse
import json
import pathlib
import sys

import torch
from golden_common import indent
from PIL import Image, ImageOps
from transformers import (
    AutoConfig, AutoImageProcessor, AutoProcessor, CLIPImageProcessorPil, LlamaTokenizer, LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

TEMPLATES = {
    "v1": "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: <image>\n{} ASSISTANT:",
    "v1_brief": "USER: <image>\n{} ASSISTANT:",
    "plain": "<image>{}",
}


def load_model(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    projector = config.get("mm_projector_type", "mlp2x_gelu")
    if projector != "mlp2x_gelu":
        sys.exit(f"{folder / 'config.json'}: expected mm_projector_type mlp2x_gelu, the only one transformers has, got {projector}")
    model, report = LlavaForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    names = {kind: sorted(map(str, report[f"{kind}_keys"])) for kind in ("missing", "unexpected", "mismatched")}
    return model.eval(), names


def load_tokenizer(folder):
    """tokenizer.json exactly as it is (LlamaTokenizer would build parts of it anew), or the SentencePiece model.

    For the latter a begin token is the default, as before transformers 5.
    """
    if (folder / "tokenizer.json").exists():
        return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    settings = folder / "tokenizer_config.json"
    known = json.loads(settings.read_text(encoding="utf-8")) if settings.exists() else {}
    return LlamaTokenizer.from_pretrained(folder, add_bos_token=known.get("add_bos_token", True))


def load_image_processor(folder, config):
    if (folder / "preprocessor_config.json").exists():
        return AutoImageProcessor.from_pretrained(folder)
    side = config.vision_config.image_size
    return CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


def pad_to_square(image, mean):
    """The picture in the middle of a square of the mean colour, as LLaVA 1.5 does it."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), tuple(int(part * 255) for part in mean))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def tokenize(tokenizer, prompt, image_token, bos):
    """Ids with one image token per `<image>`; the begin token comes once, if the tokenizer adds it at all."""
    pieces = [tokenizer(piece, add_special_tokens=False).input_ids for piece in prompt.split("<image>")]
    start = [bos] if bos is not None and bos in tokenizer("").input_ids else []
    ids = start + pieces[0]
    for piece in pieces[1:]:
        ids += [image_token, *piece]
    return ids


def image_token_count(config):
    patches = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    has_class_token = config.vision_config.model_type == "clip_vision_model"
    return patches + (has_class_token and config.vision_feature_select_strategy == "full")


def expand(ids, config):
    """The ids with the image token once per image position."""
    return [i for token in ids for i in [token] * (image_token_count(config) if token == config.image_token_id else 1)]


@torch.no_grad()
def answer(model, ids, pixels, max_new):
    """Greedy token ids and the smallest margin."""
    inputs = torch.tensor([expand(ids, model.config)])
    out = model.generate(
        input_ids=inputs, pixel_values=pixels, attention_mask=torch.ones_like(inputs), do_sample=False, max_new_tokens=max_new,
        output_logits=True, return_dict_in_generate=True,
    )
    best = torch.stack(out.logits).squeeze(1).topk(2).values
    return out.sequences[0, inputs.shape[1] :].tolist(), (best[:, 0] - best[:, 1]).min().item()


def compare_processor(folder, image, prompt, pixels, ids, config):
    """AutoProcessor tokenises the whole text at once and repeats the image token itself."""
    try:
        processor = AutoProcessor.from_pretrained(folder)
        out = processor(images=image, text=prompt, return_tensors="pt")
    except Exception as error:  # any failure to load is the finding, not an accident
        return {"loads": False, "error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    same_ids = out.input_ids[0].tolist() == expand(ids, config)
    return {"loads": True, "same_pixels": torch.equal(out.pixel_values, pixels), "same_ids": same_ids}


def parse_arguments(description):
    """The command line of this script and of check_onnx.py."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("image", type=pathlib.Path)
    parser.add_argument("question")
    parser.add_argument("--max-new", type=int, default=32, help="most tokens to answer with (default 32)")
    parser.add_argument("--template", choices=TEMPLATES, default="v1")
    parser.add_argument("--pad", action="store_true", help="pad the image to a square with the mean colour first")
    return parser.parse_args()


def main():
    options = parse_arguments("Answer a question about an image with transformers, from a checkpoint folder.")
    config = AutoConfig.from_pretrained(options.folder)
    model, leftovers = load_model(options.folder)
    tokenizer = load_tokenizer(options.folder)
    image_processor = load_image_processor(options.folder, config)
    image = ImageOps.exif_transpose(Image.open(options.image)).convert("RGB")
    if options.pad:
        image = pad_to_square(image, image_processor.image_mean)
    prompt = TEMPLATES[options.template].format(options.question)
    pixels = image_processor(images=image, return_tensors="pt").pixel_values
    ids = tokenize(tokenizer, prompt, config.image_token_id, config.text_config.bos_token_id)
    token_ids, margin = answer(model, ids, pixels, options.max_new)
    report = {
        "model": f"{type(model).__name__}, {model.num_parameters()} parameters",
        "leftovers": leftovers,
        "prompt": prompt,
        "prompt_ids": ids,
        "image_tokens": image_token_count(config),
        "token_ids": token_ids,
        "text": tokenizer.decode(token_ids, skip_special_tokens=True),
        "margin": margin,
        "processor": compare_processor(options.folder, image, prompt, pixels, ids, config),
    }
    print(indent(report, ""))
    sys.exit(1 if any(leftovers.values()) else 0)


if __name__ == "__main__":
    main()
