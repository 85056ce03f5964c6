"""Makes folders of test/golden/models: tiny random checkpoints of each language backbone, rope scaling and vision tower.

    pip install -r scripts/requirements.txt
    python scripts/make_backbone_goldens.py         (a minute; files come out the same each time on one machine)

As make_model_goldens.py (see README.md), but weights are rounded to bfloat16 and stored so: half the size, and nothing is
lost.
"""

import copy
import json

import torch
from golden_common import make_readable, noise, randomize, random_ids, source, write_json, write_tensors
from make_image_goldens import noise_image, sha
from make_model_goldens import (
    BOS, OUT, acceptable, decoder_points, fresh, greedy, llava_case, llava_cases, save, write_golden,
)
from make_next_goldens import count_images, last_logits, spliced
from PIL import Image
from transformers import (
    CLIPVisionConfig, LlamaConfig, LlamaForCausalLM, LlavaConfig, LlavaForConditionalGeneration, LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration, MistralConfig,
    MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, SiglipVisionConfig,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

SCRIPT = "make_backbone_goldens.py"

TEXT = dict(
    hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, vocab_size=80,
    max_position_embeddings=256, rms_norm_eps=1e-5,
)
QWEN = TEXT | dict(
    num_key_value_heads=2, tie_word_embeddings=True, use_sliding_window=True, sliding_window=6, max_window_layers=1,
    rope_parameters={"rope_type": "default", "rope_theta": 1e6},
)
MISTRAL = TEXT | dict(head_dim=24, sliding_window=7, rope_parameters={"rope_type": "default", "rope_theta": 5e3})


def rounded(model, seed, embedding_scale):
    model = randomize(model, seed, embedding_scale)
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    return model


def make(name, create, make_cases, embedding_scale=1.0, change_json=None):
    """The first seed whose continuations are acceptable."""
    folder = fresh(name)
    for seed in range(1, 200):
        model = rounded(create(), seed, embedding_scale)
        cases = make_cases(model)
        if cases:
            break
    else:
        raise RuntimeError("no acceptable seed")
    save(copy.deepcopy(model).bfloat16(), folder)
    if change_json:
        path = folder / "config.json"
        write_json(path, change_json(json.loads(path.read_text())))
    write_golden(folder, seed, cases, script=SCRIPT)


def text_cases(lengths, last_only=False):
    """A text of each length; `last_only` where the logits of a beginning depend on what follows it."""

    def cases(model):
        found = {}
        for length in lengths:
            ids = torch.tensor([[BOS, *random_ids(length - 1, model.config.vocab_size, seed=length).tolist()]])
            unused = copy.deepcopy(model)  # rotary state of an earlier, longer text would stay
            points = decoder_points(unused.model, unused.lm_head, unused.get_input_embeddings()(ids))
            points = {"logits": points["logits"][:, -1:] if last_only else points["logits"]}
            tokens, margin = greedy(copy.deepcopy(model), input_ids=ids, attention_mask=torch.ones_like(ids))
            if not acceptable(tokens, margin):
                return None
            facts = {"prompt_ids": ids[0].tolist(), "greedy": tokens, "smallest_margin": margin}
            found[f"text_{length}"] = ({"input_ids": ids, **points}, facts)
        return found

    return cases


def eager(config):
    config._attn_implementation = "eager"
    return config


def make_texts():
    """Windows are shorter than the text; llama3 covers all three kinds of wavelength; linear is in a file of the old form."""
    make("mistral", lambda: MistralForCausalLM(eager(MistralConfig(**MISTRAL))), text_cases([20]))
    make("qwen2", lambda: Qwen2ForCausalLM(eager(Qwen2Config(**QWEN))), text_cases([20]), 0.3)
    llama3 = {
        "rope_type": "llama3", "rope_theta": 1e3, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    biased = TEXT | dict(attention_bias=True, mlp_bias=True, rope_parameters=llama3)
    make("llama3-rope-biases", lambda: LlamaForCausalLM(eager(LlamaConfig(**biased))), text_cases([20]))
    linear = TEXT | dict(max_position_embeddings=32, rope_parameters={"rope_type": "linear", "rope_theta": 1e3, "factor": 4.0})
    make("linear-rope", lambda: LlamaForCausalLM(eager(LlamaConfig(**linear))), text_cases([20]), change_json=old_rope)
    dynamic = TEXT | dict(max_position_embeddings=32, rope_parameters={"rope_type": "dynamic", "rope_theta": 1e3, "factor": 4.0})
    make("dynamic-rope", lambda: LlamaForCausalLM(eager(LlamaConfig(**dynamic))), text_cases([10, 40], last_only=True))


def old_rope(config):
    """As transformers 4 wrote it."""
    rope = config.pop("rope_parameters")
    return config | {"rope_theta": rope["rope_theta"], "rope_scaling": {"type": rope["rope_type"], "factor": rope["factor"]}}


def llava(vision, text, tokens, **options):
    return LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=text.vocab_size - 1, image_seq_length=tokens,
        tie_word_embeddings=text.tie_word_embeddings, attn_implementation="eager", **options,
    )


def siglip_case(model, ids, pixels):
    """With what the tower's head makes of the images."""
    points, facts = llava_case(model, ids, pixels)
    return points | {"pooled": model.model.vision_tower(pixels).pooler_output}, facts


def make_llavas():
    """SigLIP sees 3 × 3 patches of 8 in 30 pixels; the CLIP tower gives two layers, joined."""
    vision = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4, patch_size=8)
    siglip = SiglipVisionConfig(**vision, image_size=30)
    config = llava(siglip, Qwen2Config(**QWEN), 9, vision_feature_layer=-1, vision_feature_select_strategy="full")
    make(
        "llava-siglip-qwen2", lambda: LlavaForConditionalGeneration(config),
        lambda model: llava_cases(model, ("one_image", "two_images"), siglip_case), 0.3,
    )
    clip = CLIPVisionConfig(**vision, image_size=24)
    config2 = llava(clip, MistralConfig(**MISTRAL), 9, vision_feature_layer=[-2, 1])
    make(
        "llava-clip-layers-mistral", lambda: LlavaForConditionalGeneration(config2),
        lambda model: llava_cases(model, ("one_image",)),
    )


ONEVISION_SIDE = 24
ONEVISION_PICTURES = {"small": (30, 20), "tall": (20, 75), "reduced": (100, 90)}


def onevision_config():
    vision = SiglipVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=ONEVISION_SIDE, patch_size=8,
        vision_use_head=False,
    )
    text = Qwen2Config(**QWEN | dict(tie_word_embeddings=False))
    pinpoints = [[ONEVISION_SIDE * i, ONEVISION_SIDE * j] for i in range(1, 4) for j in range(1, 4)]
    return LlavaOnevisionConfig(
        vision_config=vision, text_config=text, image_token_index=text.vocab_size - 1, video_token_index=text.vocab_size - 2,
        image_grid_pinpoints=pinpoints, vision_aspect_ratio="anyres_max_2", attn_implementation="eager",
    )


def onevision_case(model, processor, size, seed):
    """Points and facts of one picture, with the first random prompt whose continuation is acceptable."""
    image = model.config.image_token_index
    batch = processor([Image.fromarray(noise_image(*size, seed))], return_tensors="pt")
    batch.pop("batch_num_images", None)
    rows = model.model.get_image_features(batch.pixel_values, batch.image_sizes).pooler_output
    for words in (random_ids(9, image - 1, words_seed).tolist() for words_seed in range(200)):
        prompt = [BOS, *words[:3], image, *words[3:]]
        embeds, expanded = spliced(model, prompt, rows)
        inputs = {"input_ids": expanded, **batch}
        tokens, margin = greedy(model, **inputs, attention_mask=torch.ones_like(expanded))
        if acceptable(tokens, margin, image - 1):
            break
    points = {"merged_embeds": embeds, **decoder_points(model.model.language_model, model.lm_head, embeds)}
    assert noise(points["logits"], model(**inputs, use_cache=False).logits) < 1e-6
    facts = {
        "images": [size], "prompt_ids": prompt, "greedy": tokens, "smallest_margin": margin,
        "pixels": sha(batch.pixel_values[0].numpy()), "image_tokens": count_images(model, expanded),
    }
    return last_logits(points), facts


def make_onevision():
    """Grids of up to 3 × 3 tiles; `reduced` has more feature rows than two tiles. Folder and cases as of llava-next."""
    folder = fresh("llava-onevision")
    config = onevision_config()
    processor = LlavaOnevisionImageProcessorPil(
        size={"height": ONEVISION_SIDE, "width": ONEVISION_SIDE}, image_grid_pinpoints=config.image_grid_pinpoints,
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )
    model = rounded(LlavaOnevisionForConditionalGeneration(config), 1, 1.0)
    cases = {name: onevision_case(model, processor, size, seed=0) for name, size in ONEVISION_PICTURES.items()}
    save(copy.deepcopy(model).bfloat16(), folder)
    processor.save_pretrained(folder)
    write_tensors(folder / "golden.safetensors", {f"{case}.{k}": v for case, (points, _) in cases.items() for k, v in points.items()})
    facts = {case: info for case, (_, info) in cases.items()}
    write_json(folder / "golden.json", {"source": source(SCRIPT, seed=1), "cases": facts})
    print(f"{folder.name}:", {case: (info["image_tokens"], info["smallest_margin"]) for case, info in facts.items()})


@torch.no_grad()
def main():
    make_texts()
    make_llavas()
    make_onevision()
    make_readable(OUT)


if __name__ == "__main__":
    main()
