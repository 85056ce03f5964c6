"""Makes test/golden/models: tiny random checkpoints of each family, and what `transformers` computes with them.

    pip install -r scripts/requirements.txt
    python scripts/make_model_goldens.py            (about a minute; files come out the same each time on one machine)

Each family folder holds a checkpoint as `save_pretrained` writes it, golden.json and golden.safetensors (see README.md).
Weights are drawn so that the greedy continuation of every case is 64 tokens long, never ends, varies, and wins each step by a
margin that rounding cannot flip: seeds are tried in order until one does.
"""

import copy
import io
import json
import re
import shutil

import numpy as np
import safetensors.torch
import sentencepiece
import torch
from golden_common import (
    GOLDEN, hub_name, make_readable, noise, randomize, random_ids, random_pixels, source, write_json, write_tensors,
)
from PIL import Image
from transformers import (
    CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM,
    LlamaTokenizer, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor,
)

SCRIPT = "make_model_goldens.py"
OUT = GOLDEN / "models"
NEW_TOKENS = 64
MARGIN = 2e-3
DISTINCT = 10
BOS, EOS = 1, 2

VISION = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=32, patch_size=8)
TEXT = dict(
    hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=160,
    max_position_embeddings=256, rms_norm_eps=1e-5,
)


# ------------------------------------------------------------------------------------------------ what is measured


def decoder_points(language, head, embeds):
    """Final hidden states and logits of a decoder on embeddings [1, T, D]."""
    hidden = language(inputs_embeds=embeds, use_cache=False).last_hidden_state
    return {"last_hidden_state": hidden, "logits": head(hidden)}


def greedy(model, **inputs):
    """NEW_TOKENS greedy ids, and the smallest lead of a winner over the runner-up."""
    model.generation_config.eos_token_id = None
    out = model.generate(
        **inputs, do_sample=False, max_new_tokens=NEW_TOKENS, pad_token_id=0, output_logits=True, return_dict_in_generate=True,
    )
    best = torch.stack(out.logits).squeeze(1).topk(2).values
    return out.sequences[0, -NEW_TOKENS:].tolist(), (best[:, 0] - best[:, 1]).min().item()


def acceptable(ids, margin, end=None):
    """Whether a continuation is long, clear, varied, and of plain tokens only: 3 … end − 1 (special tokens follow)."""
    plain = all(3 <= token < (end or token + 1) for token in ids)
    return len(ids) == NEW_TOKENS and margin > MARGIN and len(set(ids)) >= DISTINCT and plain


def image_points(model, pixels):
    """Tower features that the projector reads, and the projector's output, for images [N, 3, S, S]."""
    config = model.config
    states = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states
    layers = config.vision_feature_layer
    hidden = torch.cat([states[layer] for layer in ([layers] if isinstance(layers, int) else layers)], dim=-1)
    features = hidden[:, 1:] if config.vision_feature_select_strategy == "default" else hidden
    return {"vision_features": features, "projected": model.model.multi_modal_projector(features)}


def splice(embed, ids, projected, image_token):
    """Token embeddings [1, T, D] with the projected features in place of the image tokens."""
    embeds = embed(ids).clone()
    if projected is not None:
        embeds[ids == image_token] = projected.reshape(-1, projected.shape[-1])
    return embeds


def llava_case(model, ids, pixels):
    """All points of one prompt. Checked against the model's own forward, and against its other attention code."""
    points = image_points(model, pixels) if pixels is not None else {}
    embeds = splice(model.get_input_embeddings(), ids, points.get("projected"), model.config.image_token_index)
    points["merged_embeds"] = embeds
    points |= decoder_points(model.model.language_model, model.lm_head, embeds)
    inputs = {"input_ids": ids} | ({} if pixels is None else {"pixel_values": pixels})
    assert noise(points["logits"], model(**inputs, use_cache=False).logits) < 1e-6
    tokens, margin = greedy(model, **inputs, attention_mask=torch.ones_like(ids))
    model.set_attn_implementation("sdpa")
    other = model(**inputs, use_cache=False).logits
    model.set_attn_implementation("eager")
    return points, {"greedy": tokens, "smallest_margin": margin, "logits_noise": noise(points["logits"], other)}


def expand(prompt, image_token, count):
    """Each image token repeated `count` times: [1, T]."""
    return torch.tensor([[i for token in prompt for i in [token] * (count if token == image_token else 1)]])


# ------------------------------------------------------------------------------------------------ writing a family


def write_golden(folder, seed, cases, script=SCRIPT, **facts):
    """cases: name → (tensors, facts). Writes golden.json and golden.safetensors."""
    tensors = {f"{case}.{point}": value for case, (points, _) in cases.items() for point, value in points.items()}
    write_tensors(folder / "golden.safetensors", tensors)
    record = {case: {**info, "tensors": {k: list(v.shape) for k, v in points.items()}} for case, (points, info) in cases.items()}
    write_json(folder / "golden.json", {"source": source(script, seed=seed), **facts, "cases": record})
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    margins = " ".join(f"{case}: {info['smallest_margin']:.4f}" for case, (_, info) in cases.items() if "smallest_margin" in info)
    print(f"{folder.name}: {size / 1000:.0f} KB, seed {seed}, margins {margins}")


def fresh(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def prompts(config):
    """Unexpanded prompts of each case: one image, two images, no image."""
    image = config.image_token_index
    words = lambda count, seed: random_ids(count, image, seed).tolist()
    return {
        "one_image": [BOS, *words(3, 1), image, *words(6, 2)],
        "two_images": [BOS, image, *words(4, 3), image, *words(5, 4)],
        "text_only": [BOS, *words(9, 5)],
    }


def llava_cases(model, names, case=llava_case):
    """Points of the named cases, or None if a continuation is not acceptable."""
    config = model.config
    side, image, count = config.vision_config.image_size, config.image_token_index, config.image_seq_length
    cases = {}
    for name in names:
        prompt = prompts(config)[name]
        ids = expand(prompt, image, count)
        images = prompt.count(image)
        pixels = random_pixels(images, side, seed=images) if images else None
        points, info = case(model, ids, pixels)
        if not acceptable(info["greedy"], info["smallest_margin"], image):
            return None
        inputs = {"input_ids": ids} | ({"pixel_values": pixels} if images else {})
        cases[name] = ({**inputs, **points}, {"prompt_ids": prompt, **info})
    return cases


def first_acceptable(make_model, make_cases, embedding_scale=1.0):
    for seed in range(1, 200):
        model = randomize(make_model(), seed, embedding_scale)
        cases = make_cases(model)
        if cases:
            return seed, model, cases
    raise RuntimeError("no acceptable seed")


def llava_config(vision, text, **options):
    text = LlamaConfig(**text)
    vision = CLIPVisionConfig(**vision)
    patches = (vision.image_size // vision.patch_size) ** 2
    full = options.get("vision_feature_select_strategy") == "full"
    return LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=text.vocab_size - 1, image_seq_length=patches + full,
        attn_implementation="eager", **options,
    )


def make_llava(name, config, case_names=("one_image",)):
    folder = fresh(name)
    seed, model, cases = first_acceptable(
        lambda: LlavaForConditionalGeneration(config), lambda model: llava_cases(model, case_names)
    )
    save(model, folder)
    write_golden(folder, seed, cases)


def save(model, folder, **options):
    """`save_pretrained`, with the end token that a greedy run of 64 tokens had to do without."""
    model.generation_config.eos_token_id = EOS
    model.save_pretrained(folder, **options)


# ------------------------------------------------------------------------------------------------ families


def make_llava_15():
    make_llava("llava-1.5", llava_config(VISION, TEXT), ("one_image", "two_images", "text_only"))


def make_llava_full_gqa():
    """Class token kept, last layer, grouped queries."""
    text = TEXT | dict(num_key_value_heads=2)
    make_llava("llava-1.5-full-gqa", llava_config(VISION, text, vision_feature_select_strategy="full", vision_feature_layer=-1))


def make_llava_odd():
    """Sizes that nothing divides: width 36 with 3 heads of 16, one key-value head, 4 patches, erf GELU, layer −3."""
    vision = dict(
        hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3, image_size=28, patch_size=14,
        hidden_act="gelu", layer_norm_eps=1e-6,
    )
    text = dict(
        hidden_size=36, intermediate_size=56, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=16,
        vocab_size=211, max_position_embeddings=131, rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 5e5},
    )
    make_llava("llava-1.5-odd", llava_config(vision, text, vision_feature_layer=-3, multimodal_projector_bias=False))


class LlavaV1(torch.nn.Module):
    """LLaVA v1 from its parts: `transformers` has no LLaVA with a linear projector."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = torch.nn.Module()
        self.model.vision_tower = CLIPVisionModel._from_config(config.vision_config, attn_implementation="eager")
        self.model.multi_modal_projector = torch.nn.Linear(config.vision_config.hidden_size, config.text_config.hidden_size)
        self.llama = LlamaForCausalLM._from_config(config.text_config, attn_implementation="eager")

    def weights(self):
        """In the layout of the llava-hf files; the one linear layer is `linear_1`."""
        llama = {f"language_model.{name}": value for name, value in self.llama.state_dict().items()}
        rest = {hub_name(name): value for name, value in self.state_dict().items() if name.startswith("model.")}
        return llama | {name.replace("projector.", "projector.linear_1."): value for name, value in rest.items()}


def llava_v1_case(model, ids, pixels):
    points = image_points(model, pixels)
    embeds = splice(model.llama.get_input_embeddings(), ids, points["projected"], model.config.image_token_index)
    points["merged_embeds"] = embeds
    points |= decoder_points(model.llama.model, model.llama.lm_head, embeds)
    tokens, margin = greedy(model.llama, inputs_embeds=embeds, attention_mask=torch.ones_like(ids))
    return points, {"greedy": tokens, "smallest_margin": margin}


def make_llava_v1():
    folder = fresh("llava-v1-linear")
    config = llava_config(VISION, TEXT)
    seed, model, cases = first_acceptable(
        lambda: LlavaV1(config), lambda model: llava_cases(model, ("one_image",), llava_v1_case)
    )
    safetensors.torch.save_file(model.weights(), folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", as_saved(config) | {"mm_projector_type": "linear"})
    write_golden(folder, seed, cases)


def as_saved(config):
    return json.loads(config.to_json_string(use_diff=False)) | {"architectures": ["LlavaForConditionalGeneration"]}


def make_llama(name, **options):
    folder = fresh(name)
    config = LlamaConfig(**(TEXT | options), attn_implementation="eager")
    prompt = [BOS, *random_ids(11, config.vocab_size, seed=7).tolist()]
    ids = torch.tensor([prompt])

    def cases(model):
        points = decoder_points(model.model, model.lm_head, model.get_input_embeddings()(ids))
        tokens, margin = greedy(model, input_ids=ids, attention_mask=torch.ones_like(ids))
        info = {"prompt_ids": prompt, "greedy": tokens, "smallest_margin": margin}
        return {"text_only": ({"input_ids": ids, **points}, info)} if acceptable(tokens, margin) else None

    scale = 0.3 if config.tie_word_embeddings else 1.0  # larger, a tied model only repeats its input
    seed, model, found = first_acceptable(lambda: LlamaForCausalLM(config), cases, scale)
    save(model, folder)
    write_golden(folder, seed, found)


def make_clip():
    """Three pairs. The end token comes at a different place in each text; what follows it is padding."""
    folder = fresh("clip")
    vision = VISION | dict(num_hidden_layers=2)
    text = dict(
        hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=3, vocab_size=100,
        max_position_embeddings=12, bos_token_id=98, eos_token_id=99, pad_token_id=0,
    )
    config = CLIPConfig(vision_config=vision, text_config=text, projection_dim=20, attn_implementation="eager")
    seed = 1
    model = randomize(CLIPModel(config), seed)
    words = [random_ids(count, 98, seed=count).tolist() for count in (8, 3, 5)]
    ids = torch.tensor([[98, *row, 99] + [0] * (8 - len(row)) for row in words])
    pixels = random_pixels(3, 32, seed=3)
    out = model(input_ids=ids, pixel_values=pixels, return_loss=True)
    points = {
        "input_ids": ids, "pixel_values": pixels,
        "image_projected": out.vision_model_output.pooler_output, "text_projected": out.text_model_output.pooler_output,
        "image_embeds": out.image_embeds, "text_embeds": out.text_embeds, "logits_per_image": out.logits_per_image,
        "loss": out.loss,
    }
    model.save_pretrained(folder)
    write_golden(folder, seed, {"pairs": (points, {"end_positions": [len(row) + 1 for row in words], "loss": out.loss.item()})})


# ------------------------------------------------------------------------------------------------ layouts of one model


def old_config(config):
    """config.json in the manner of the published llava-hf files (2023): defaults left out, `rope_theta` not nested."""
    vision, text = config.vision_config, config.text_config
    pick = lambda part, *names: {"model_type": part.model_type} | {name: getattr(part, name) for name in names}
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "ignore_index": -100,
        "image_token_index": config.image_token_index,
        "model_type": "llava",
        "pad_token_id": 0,
        "projector_hidden_act": "gelu",
        "text_config": pick(text, *sizes, "max_position_embeddings", "rms_norm_eps", "vocab_size") | {"torch_dtype": "float32"},
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.36.0.dev0",
        "vision_config": pick(vision, *sizes, "image_size", "patch_size", "projection_dim") | {"vocab_size": 32000},
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "vocab_size": text.vocab_size,
    }


def add_vision_model(folder):
    """Puts back the `vision_model.` that transformers 5 leaves out of the tower's names."""
    path = folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    renamed = {re.sub(r"vision_tower\.", "vision_tower.vision_model.", name): value for name, value in weights.items()}
    safetensors.torch.save_file(renamed, path, metadata={"format": "pt"})


def make_layouts():
    """One very small model in every llava-hf layout, sharded, and in half precision; each is loaded back by transformers."""
    folder = fresh("layouts")
    vision = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8)
    text = dict(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, vocab_size=64,
        max_position_embeddings=128, rms_norm_eps=1e-5,
    )
    config = llava_config(vision, text)
    seed, model, cases = first_acceptable(
        lambda: LlavaForConditionalGeneration(config), lambda model: llava_cases(model, ("one_image",))
    )
    save(model, folder / "hub")
    add_vision_model(folder / "hub")
    write_json(folder / "hub" / "config.json", old_config(config))
    save(model, folder / "hf-4.52", save_original_format=False)
    add_vision_model(folder / "hf-4.52")
    save(model, folder / "hf-5")
    save(model, folder / "hf-5-memory", save_original_format=False)
    save(model, folder / "sharded", max_shard_size="20KB")
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    for part in ("hub", "hf-4.52", "hf-5", "hf-5-memory", "sharded"):
        check_reload(folder / part, expected)
    for name, dtype in (("bf16", torch.bfloat16), ("f16", torch.float16)):
        save(copy.deepcopy(model).to(dtype), folder / name)
    ours = {hub_name(name): list(value.shape) for name, value in sorted(expected.items())}
    write_golden(folder, seed, cases, weights=ours)


def check_reload(folder, expected):
    model, report = LlavaForConditionalGeneration.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    assert not any(report.values()), (folder, report)
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items()), folder


# ------------------------------------------------------------------------------------------------ from file and question to text

QUESTION = "What is in this picture?"
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'user' %}USER: {% for c in m.content %}{% if c.type == 'image' %}<image>\n"
    "{% else %}{{ c.text }}{% endif %}{% endfor %} {% else %}ASSISTANT: {{ m.content[0].text }} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def tiny_tokenizer(folder):
    """A SentencePiece BPE tokenizer with byte fallback, trained on the prompt alone, with `<image>` and `<pad>` added."""
    text = [SYSTEM, f"USER: {QUESTION} ASSISTANT: A red circle and a blue square on white."]
    proto = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text * 3), model_writer=proto, model_type="bpe", vocab_size=340, byte_fallback=True, unk_id=0,
        bos_id=BOS, eos_id=EOS, pad_id=-1, normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1,
        split_digits=True, allow_whitespace_only_pieces=True, minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(proto.getvalue())
    tokenizer = LlamaTokenizer.from_pretrained(folder, legacy=False, add_bos_token=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"], "pad_token": "<pad>"})
    return tokenizer


def tokenize_in_pieces(tokenizer, prompt, image_token):
    """As LLaVA's own code: the text on each side of `<image>` on its own, one beginning-of-sequence token in all."""
    pieces = [tokenizer(piece).input_ids[1:] for piece in prompt.split("<image>")]
    ids = [BOS, *pieces[0]]
    for piece in pieces[1:]:
        ids += [image_token, *piece]
    return ids


def picture():
    """50 × 38 pixels: a shaded ground, a disc, a square."""
    y, x = np.mgrid[0:38, 0:50]
    rgb = np.stack([90 + 3 * x, 200 - 4 * y, 120 + x + y], -1).clip(0, 255).astype(np.uint8)
    rgb[(x - 15) ** 2 + (y - 17) ** 2 < 81] = (220, 30, 40)
    rgb[8:24, 30:44] = (20, 60, 200)
    return Image.fromarray(rgb)


def make_end_to_end():
    folder = fresh("end-to-end")
    tokenizer = tiny_tokenizer(folder)
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    vision = dict(hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=3, image_size=28, patch_size=7)
    text = dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, vocab_size=352,
        max_position_embeddings=512, rms_norm_eps=1e-5, pad_token_id=tokenizer.pad_token_id,
    )
    config = llava_config(vision, text)
    config.image_token_index = image_token
    images = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=7, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=CHAT_TEMPLATE,
    )
    image = picture()
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    chat = processor.apply_chat_template(messages, add_generation_prompt=True)
    whole = processor(images=image, text=chat, return_tensors="pt")
    v1 = f"{SYSTEM} USER: <image>\n{QUESTION} ASSISTANT:"
    in_pieces = tokenize_in_pieces(tokenizer, v1, image_token)
    inputs = {
        "v1": (v1, expand(in_pieces, image_token, 16), in_pieces),
        "hf_chat": (chat, whole.input_ids, tokenizer(chat).input_ids),
    }

    def cases(model):
        found = {}
        for name, (prompt, ids, prompt_ids) in inputs.items():
            points, info = llava_case(model, ids, whole.pixel_values)
            if not acceptable(info["greedy"], info["smallest_margin"], tokenizer.pad_token_id):
                return None
            points["logits"] = points["logits"][:, -1:]  # all positions would be most of the folder
            facts = {"prompt": prompt, "prompt_ids": prompt_ids, **info, "text": tokenizer.decode(info["greedy"], skip_special_tokens=True)}
            found[name] = ({"input_ids": ids, "pixel_values": whole.pixel_values, **points}, facts)
        return found

    seed, model, found = first_acceptable(lambda: LlavaForConditionalGeneration(config), cases)
    save(model, folder)
    processor.save_pretrained(folder)
    images.save_pretrained(folder)
    image.save(folder / "image.png", optimize=True)
    write_golden(folder, seed, found, image="image.png", question=QUESTION)


@torch.no_grad()
def main():
    make_llava_15()
    make_llava_full_gqa()
    make_llava_odd()
    make_llava_v1()
    make_llama("llama", num_key_value_heads=1)
    make_llama("llama-tied", tie_word_embeddings=True)
    make_clip()
    make_layouts()
    make_end_to_end()
    make_readable(OUT)


if __name__ == "__main__":
    main()
