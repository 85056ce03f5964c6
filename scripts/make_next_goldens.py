"""Makes test/golden/models/llava-next: a tiny LLaVA-1.6, what transformers computes with it, and what the original's rules give.

    pip install -r scripts/requirements.txt
    python scripts/make_next_goldens.py            (a minute; files come out the same each time on one machine)

Cases `hf/…` are transformers' LlavaNextForConditionalGeneration. Cases `original/…` put the features of the same modules in
order as the original repositories do (choice of the canvas, tiles, cutting of padding, newlines, every merge type), written
here from their description. Pictures are noise that the tests rebuild, `picture` is image.png.
"""

import math
import re

import torch
from golden_common import hub_name, make_readable, noise, random_ids, randomize, source, write_json, write_tensors
from make_anyres_goldens import original_tiles
from make_image_goldens import noise_image, sha
from make_layout_goldens import original_canvas
from make_model_goldens import (
    BOS, OUT, QUESTION, SYSTEM, TEXT, decoder_points, fresh, greedy, picture, save, tiny_tokenizer, tokenize_in_pieces,
)
from PIL import Image
from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextConfig, LlavaNextForConditionalGeneration
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor

SCRIPT = "make_next_goldens.py"
SIDE, PATCH, GRID = 32, 8, 4
PINPOINTS = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]
OPTIONS = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
VISION = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, image_size=SIDE, patch_size=PATCH)
CASES = {"small": [(30, 20)], "tall": [(20, 75)], "square": [(70, 60)], "two_images": [(30, 20), (90, 25)]}
MERGES = {
    "flat": "anyres", "spatial": "anyres", "spatial_unpad_nobase": "anyres", "spatial_maxpool2x2": "anyres",
    "spatial_unpad": "anyres_max_2",
}
CHAT = (
    "{% for m in messages %}{% if m.role == 'user' %}USER: {% for c in m.content %}{% if c.type == 'image' %}<image>\n"
    "{% else %}{{ c.text }}{% endif %}{% endfor %} {% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


# ------------------------------------------------------------------------------------------------ the original's rules


def tower_and_projector(model, tiles):
    """[tiles, patches, D]; the class token is dropped."""
    hidden = model.model.vision_tower(tiles, output_hidden_states=True).hidden_states[model.config.vision_feature_layer]
    return model.model.multi_modal_projector(hidden[:, 1:])


def original_rows(features, newline, size, merge, aspect="anyres"):
    """Rows of one picture: features [1 + tiles, patches, D] of the base image and the tiles of the grid."""
    width = features.shape[-1]
    base, tiles = features[0], features[1:]
    if merge == "flat":
        return features.reshape(-1, width)
    columns, rows = (side // SIDE for side in original_canvas({"pinpoints": PINPOINTS}, *size))
    whole = tiles.reshape(rows, columns, GRID, GRID, width).transpose(1, 2).reshape(rows * GRID, columns * GRID, width)
    if "maxpool2x2" in merge:
        pooled = torch.nn.functional.max_pool2d(whole.permute(2, 0, 1), 2)
        grid = pooled.permute(1, 2, 0).reshape(-1, width)
    elif "unpad" in merge:
        kept = scaled_down(without_padding(whole, size), aspect)
        ends = newline.expand(kept.shape[0], 1, width)
        grid = torch.cat([kept, ends], 1).reshape(-1, width)
    else:
        grid = whole.reshape(-1, width)
    return grid if "nobase" in merge else torch.cat([base, grid])


def without_padding(whole, size):
    rows, columns = whole.shape[:2]
    if size[0] / size[1] > columns / rows:
        cut = (rows - int(size[1] * (columns / size[0]))) // 2
        return whole[cut : rows - cut]
    cut = (columns - int(size[0] * (rows / size[1]))) // 2
    return whole[:, cut : columns - cut]


def scaled_down(kept, aspect):
    if aspect == "anyres":
        return kept
    rows, columns = kept.shape[:2]
    times = math.sqrt(rows * columns / (int(aspect.removeprefix("anyres_max_")) * GRID**2))
    if times <= 1.1:
        return kept
    size = [int(rows // times), int(columns // times)]
    return torch.nn.functional.interpolate(kept.permute(2, 0, 1)[None], size, mode="bilinear")[0].permute(1, 2, 0)


# ------------------------------------------------------------------------------------------------ cases


def images_of(name):
    return [Image.fromarray(noise_image(*size, seed)) for seed, size in enumerate(CASES[name])] if name in CASES else [picture()]


def spliced(model, ids, rows):
    """Embeddings [1, T, D] of a prompt with one image token a picture, and its ids with each as often as it has rows."""
    image, embed = model.config.image_token_index, model.get_input_embeddings()
    pieces, expanded, rest = [], [], list(rows)
    for token in ids:
        piece = rest.pop(0) if token == image else embed(torch.tensor([token]))
        pieces.append(piece)
        expanded += [token] * len(piece)
    return torch.cat(pieces)[None], torch.tensor([expanded])


def count_images(model, expanded):
    return (expanded == model.config.image_token_index).sum().item()


def original_case(model, ids, images):
    tiles = [torch.tensor(original_tiles(CLIPImageProcessorPil(**OPTIONS), SIDE, PINPOINTS, image)) for image in images]
    newline = model.model.image_newline
    rows = [
        original_rows(tower_and_projector(model, one), newline, image.size, "spatial_unpad") for one, image in zip(tiles, images)
    ]
    embeds, expanded = spliced(model, ids, rows)
    points = {"merged_embeds": embeds, **decoder_points(model.model.language_model, model.lm_head, embeds)}
    llama = lambda **inputs: model(**inputs, use_cache=False)
    assert noise(points["logits"], llama(inputs_embeds=embeds).logits) < 1e-6
    tokens, margin = greedy(model, inputs_embeds=embeds, attention_mask=torch.ones_like(expanded))
    return points, {"greedy": tokens, "smallest_margin": margin, "pixels": sha(torch.cat(tiles).numpy())}, count_images(model, expanded)


def hf_case(model, ids, images):
    processor = LlavaNextImageProcessorPil(**OPTIONS, image_grid_pinpoints=PINPOINTS)
    batch = processor(images, return_tensors="pt")
    outputs = model.model.get_image_features(batch.pixel_values, batch.image_sizes)
    embeds, expanded = spliced(model, ids, outputs.pooler_output)
    points = {"merged_embeds": embeds, **decoder_points(model.model.language_model, model.lm_head, embeds)}
    inputs = {"input_ids": expanded, **batch}
    assert noise(points["logits"], model(**inputs, use_cache=False).logits) < 1e-6
    tokens, margin = greedy(model, **inputs, attention_mask=torch.ones_like(expanded))
    pixels = torch.cat([processor(image, return_tensors="pt").pixel_values[0] for image in images])
    if len(images) == 1:
        points["projected"] = tower_and_projector(model, pixels)
    return points, {"greedy": tokens, "smallest_margin": margin, "pixels": sha(pixels.numpy())}, count_images(model, expanded)


def chat_prompts(tokenizer, processor):
    """Text and ids of the question about the picture, as transformers and as the original repositories ask it."""
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    chat = processor.apply_chat_template(messages, add_generation_prompt=True)
    v1 = f"{SYSTEM} USER: <image>\n{QUESTION} ASSISTANT:"
    image = tokenizer.convert_tokens_to_ids("<image>")
    return {hf_case: (chat, tokenizer(chat).input_ids), original_case: (v1, tokenize_in_pieces(tokenizer, v1, image))}


def random_prompt(name, image, seed):
    """Ids with one image token a picture."""
    words = random_ids(10, 300, seed).tolist()
    return [BOS, image, *words[:4], image, *words[4:]] if name == "two_images" else [BOS, *words[:3], image, *words[3:]]


def is_clear(facts):
    return facts["smallest_margin"] > 1e-3 and len(set(facts["greedy"])) >= 8


def chat_cases(model, tokenizer, processor):
    """Name → points and facts; None unless both continuations are clear and plain text."""
    cases = {}
    for measure, (text, ids) in chat_prompts(tokenizer, processor).items():
        points, facts, count = measure(model, ids, images_of("picture"))
        if not is_clear(facts) or not all(3 <= token < tokenizer.pad_token_id - 1 for token in facts["greedy"]):
            return None
        answer = tokenizer.decode(facts["greedy"], skip_special_tokens=True)
        rules = measure.__name__.removesuffix("_case")
        cases[f"{rules}/picture"] = (last_logits(points), {**facts, "prompt": text, "text": answer, "image_tokens": count})
    return cases


def noise_cases(model):
    """The same for noise, with the first random prompt whose continuation is clear."""
    image = model.config.image_token_index
    cases = {}
    for measure in (hf_case, original_case):
        for name, sizes in CASES.items():
            for seed in range(100):
                ids = random_prompt(name, image, seed)
                points, facts, count = measure(model, ids, images_of(name))
                if is_clear(facts):
                    break
            rules = measure.__name__.removesuffix("_case")
            cases[f"{rules}/{name}"] = (last_logits(points), {"images": sizes, "prompt_ids": ids, **facts, "image_tokens": count})
    return cases


def last_logits(points):
    """Only some logits are kept: all positions would be most of the folder."""
    return {name: value[:, -8:] if name == "logits" else value for name, value in points.items() if name != "last_hidden_state"}


def merge_cases(model):
    image = images_of("square")[0]
    tiles = torch.tensor(original_tiles(CLIPImageProcessorPil(**OPTIONS), SIDE, PINPOINTS, image))
    features = tower_and_projector(model, tiles)
    newline = model.model.image_newline
    return {
        f"merge/{merge}": ({"rows": original_rows(features, newline, image.size, merge, aspect)}, {"aspect": aspect})
        for merge, aspect in MERGES.items()
    }


def make_config(tokenizer):
    text = LlamaConfig(**TEXT | dict(
        intermediate_size=48, num_key_value_heads=2, vocab_size=len(tokenizer), max_position_embeddings=512, pad_token_id=tokenizer.pad_token_id,
    ))
    return LlavaNextConfig(
        vision_config=CLIPVisionConfig(**VISION), text_config=text, image_grid_pinpoints=PINPOINTS, image_seq_length=GRID * GRID,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), attn_implementation="eager",
    )


# ------------------------------------------------------------------------------------------------ one step of training


def training_step(model):
    """Loss and gradients of two examples with pictures of different sizes, everything trained."""
    image = model.config.image_token_index
    rows = []
    for name, words in (("small", (2, 5, 7)), ("tall", (0, 3, 4))):
        before, after, answer = (random_ids(count, 300, seed).tolist() for seed, count in enumerate(words))
        batch = LlavaNextImageProcessorPil(**OPTIONS, image_grid_pinpoints=PINPOINTS)(images_of(name), return_tensors="pt")
        features = model.model.get_image_features(batch.pixel_values, batch.image_sizes).pooler_output
        embeds, expanded = spliced(model, [BOS, *before, image, *after, *answer, 2], features)
        rows.append((embeds, expanded, len(answer) + 1))
    losses, count = 0.0, 0
    for embeds, expanded, answers in rows:
        logits = model.lm_head(model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state)
        targets = expanded[0, -answers:]
        losses = losses + torch.nn.functional.cross_entropy(logits[0, -answers - 1 : -1], targets, reduction="sum")
        count += answers
    loss = losses / count
    named = {name: p for name, p in model.named_parameters() if not re.search(r"layers\.2|post_layernorm", name) or "language" in name}
    grads = torch.autograd.grad(loss, list(named.values()))
    return loss.item(), {next_name(name): grad for name, grad in zip(named, grads)}, [expanded[0].tolist() for _, expanded, _ in rows]


def next_name(name):
    return "image_newline" if name.endswith("image_newline") else hub_name(name)


KEPT_GRADIENTS = r"image_newline|projector|patch_embedding|class_embedding|layers\.[01]\.(self_attn\.q_proj|mlp\.fc1)|layers\.0\.mlp\.up"


def main():
    folder = fresh("llava-next")
    tokenizer = tiny_tokenizer(folder)
    images = LlavaNextImageProcessorPil(**OPTIONS, image_grid_pinpoints=PINPOINTS)
    processor = LlavaNextProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=PATCH, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=CHAT,
    )
    for seed in range(1, 200):
        model = randomize(LlavaNextForConditionalGeneration(make_config(tokenizer)), seed)
        with torch.no_grad():
            cases = chat_cases(model, tokenizer, processor)
        if cases:
            break
        print("seed", seed, "is not clear", flush=True)
    with torch.no_grad():
        cases |= noise_cases(model) | merge_cases(model)
    loss, grads, ids = training_step(model)
    kept = {f"grad.{name}": grad for name, grad in grads.items() if re.search(KEPT_GRADIENTS, name)}
    save(model, folder)
    processor.save_pretrained(folder)
    images.save_pretrained(folder)
    picture().save(folder / "image.png", optimize=True)
    tensors = {f"{case}.{point}": value for case, (points, _) in cases.items() for point, value in points.items()}
    write_tensors(folder / "golden.safetensors", tensors | kept)
    facts = {case: {k: v for k, v in info.items() if v is not None} for case, (_, info) in cases.items()}
    training = {"ids": ids, "loss": loss, "images": [CASES["small"][0], CASES["tall"][0]]}
    write_json(folder / "golden.json", {
        "source": source(SCRIPT, seed=seed), "image": "image.png", "question": QUESTION, "cases": facts, "training": training,
    })
    make_readable(OUT)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{size / 1000:.0f} KB, seed {seed}", {case: info.get("smallest_margin") for case, info in facts.items()})


if __name__ == "__main__":
    main()
