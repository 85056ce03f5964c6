"""Makes test/golden/processor-text/prompts.json.gz: what `transformers` writes with Jinja chat templates, and the token ids
that its processors make of questions about images of many sizes.

The templates are this project's own; they produce the prompts of the llava-hf checkpoints and use what chat templates use.
Run with Python 3.11 and transformers 5.23 (no model is run):

    python scripts/make_prompt_goldens.py
"""
import gzip, json, tempfile
from pathlib import Path

import numpy as np
import transformers
from PIL import Image
from tokenizers import Tokenizer
from transformers import CLIPImageProcessorPil, LlavaNextImageProcessorPil, LlavaNextProcessor, LlavaProcessor, PreTrainedTokenizerFast

OUT = Path(__file__).parent.parent / "test/golden/processor-text"

SYSTEM_VICUNA = "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the human's questions."
SYSTEM_VISION = "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of tasks using natural language."

PARTS = """{%- macro images(m) -%}
{%- for part in m['content'] if part['type'] == 'image' %}{{ '<image>\\n' }}{% endfor -%}
{%- endmacro -%}
{%- macro words(m) -%}
{%- for part in m.content | selectattr('type', 'equalto', 'text') %}{{ part.text }}{% endfor -%}
{%- endmacro -%}
"""


def chatml(default_system, after):
    return PARTS + (
        "{%- if messages[0].role != 'system' -%}{{ '<|im_start|>system\\n" + default_system + "<|im_end|>" + after + "' }}{%- endif -%}"
        "{%- for m in messages -%}{{ '<|im_start|>' ~ m.role ~ '\\n' ~ images(m) ~ words(m) ~ '<|im_end|>" + after + "' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
    )


def vicuna(default_system):
    start = "{{ '" + default_system.replace("'", "\\'") + " ' }}" if default_system else ""
    return PARTS + (
        "{%- if messages[0].role == 'system' -%}{{ words(messages[0]) ~ ' ' }}{%- else -%}" + start + "{%- endif -%}"
        "{%- for m in messages if m.role != 'system' -%}"
        "{{ m.role | upper ~ ': ' ~ images(m) }}"
        "{%- if m.role == 'assistant' -%}{% generation %}{{ words(m) ~ ' ' }}{% endgeneration %}{%- else -%}{{ words(m) ~ ' ' }}{%- endif -%}"
        "{%- endfor -%}{%- if add_generation_prompt -%}ASSISTANT:{%- endif -%}"
    )


LLAMA_3 = PARTS + (
    "{%- set begin = '<|start_header_id|>' -%}{%- set end = '<|end_header_id|>\\n\\n' -%}"
    "{%- if messages[0].role == 'system' -%}{%- set system = words(messages[0]) -%}{%- set turns = messages[1:] -%}"
    "{%- else -%}{%- set system = '" + SYSTEM_VISION + "' -%}{%- set turns = messages -%}{%- endif -%}"
    "{{ begin ~ 'system' ~ end ~ system ~ '<|eot_id|>' }}"
    "{%- for m in turns -%}{{ begin ~ m['role'] ~ end ~ ((images(m) ~ words(m)) | trim) ~ '<|eot_id|>' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ begin ~ 'assistant' ~ end }}{%- endif -%}"
)

MISTRAL = PARTS + (
    "{%- for m in messages -%}"
    "{%- if (m.role == 'user') != (loop.index0 is even) -%}{{ raise_exception('roles must alternate, beginning with user; got ' ~ m.role) }}{%- endif -%}"
    "{%- if m.role == 'user' -%}{{ '[INST] ' ~ images(m) ~ words(m) ~ ' [/INST]' }}"
    "{%- else -%}{{ ' ' ~ words(m) ~ eos_token }}{%- if not loop.last -%}{{ ' ' }}{%- endif -%}{%- endif -%}"
    "{%- endfor -%}"
)

# Text-only templates take messages as plain text; one of them writes BOS itself.
TEXT_CHATML = """{% for message in messages %}
    {% if loop.first and message['role'] != 'system' %}
<|im_start|>system
You are a helpful assistant.<|im_end|>
    {% endif %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{%- endif %}"""
TEXT_LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set start = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set start = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}{% set content = start + message['content'] if loop.index0 == 0 else message['content'] %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)

# What else is seen in chat templates, so that the engine is tested on it.
EVERYTHING = """{#- A comment -#}
{%- set ns = namespace(count=0, last='') -%}
{%- set tools = tools if tools is defined and tools else [] -%}
{%- for message in messages %}
    {%- set ns.count = ns.count + 1 %}
    {%- if message.content is string %}
        {%- set text = message.content %}
    {%- else %}
        {%- set text = message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join(' ') %}
    {%- endif %}
    {%- if message.role == 'system' %}{% continue %}{% endif %}
    {%- if loop.index > 6 %}{% break %}{% endif %}
    {{- loop.index0 }}/{{ loop.length }} {{ message.role.title() }}: {{ text | replace('\\n', ' / ') | default('none', true) }}
    {%- if text.startswith('Q') or 'A' in text %}{{ ' *' }}{% endif %}
    {%- if message['name'] is not defined and not loop.last %}{{ ';' }}{% else %}{{ '.' }}{% endif %}
    {%- for word in text.split(' ') %}{{ ' ' if loop.first else ',' }}{{ word | lower }}{% endfor %}
    {%- set ns.last = text.split('\\n')[-1] %}
{% endfor %}
{{ ns.count }} {{ ns.last | trim }} {{ {'a': [1, true, none], "b": 'ü"'} | tojson }} {{ [3, 1, 2] | sort | join('-') }} {{ messages[-1].role | capitalize }}
{% if add_generation_prompt %}Assistant:{% endif %}"""

TEMPLATES = {
    "hf_llava_1_5": vicuna(""),
    "hf_llava_1_6_vicuna": vicuna(SYSTEM_VICUNA),
    "hf_llava_1_6_mistral": MISTRAL,
    "hf_llava_1_6_34b": chatml("Answer the questions.", ""),
    "hf_llava_next_llama_3": LLAMA_3,
    "hf_llava_next_qwen": chatml("You are a helpful assistant.", "\\n"),
    "text_chatml": TEXT_CHATML,
    "text_llama_2": TEXT_LLAMA_2,
    "everything": EVERYTHING,
}  # fmt: skip
TEXT_ONLY = ("text_chatml", "text_llama_2")
NO_SYSTEM = ("hf_llava_1_6_mistral", "everything")

CHATS = [
    [("user", "What is this?", 1)],
    [("user", "  Two\nlines\n", 2), ("assistant", "A1 ", 0), ("user", "Q2", 0)],
    [("user", "No image", 0), ("assistant", " Sí, “ok” 😀\n", 0), ("user", "<image> typed in the middle of it", 0)],
    [("user", "Q1", 1), ("assistant", "A1", 0), ("user", "Q2", 1), ("assistant", "A2", 0)],
]


def messages_of(chat, text_only, system):
    def content(text, images):
        if text_only:
            return "<image>\n" * images + text
        return [{"type": "image"}] * images + [{"type": "text", "text": text}]

    start = [] if system is None else [{"role": "system", "content": content(system, 0)}]
    return start + [{"role": role, "content": content(text, images)} for role, text, images in chat]


def tokenizer_of(name, **roles):
    data = json.loads(gzip.decompress((OUT / f"json-{name}.tokenizer.json.gz").read_bytes()))
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(data)), **roles)


def rendered():
    tokenizer = tokenizer_of("llama", bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    result = {}
    for name, template in TEMPLATES.items():
        cases = []
        for chat in CHATS:
            for system in [None] if name in NO_SYSTEM else [None, "Be brief."]:
                messages = messages_of(chat, name in TEXT_ONLY, system)
                is_open = chat[-1][0] == "user"
                prompt = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=is_open)
                cases.append({"chat": chat, "system": system, "prompt": prompt})
        result[name] = {"template": template, "cases": cases}
    return result


SIZES = [(640, 480), (480, 640), (1000, 300), (300, 1000), (28, 28), (56, 56), (1, 1), (1344, 336), (57, 31), (1024, 899)]
QUESTION = "What is shown in this image?"


def picture(size):
    return Image.fromarray(np.zeros((size[1], size[0], 3), dtype=np.uint8))


def runs(ids, image):
    """Ids with each run of image tokens as one entry [count]."""
    result = []
    for id in ids:
        if id != image:
            result.append(id)
        elif result and isinstance(result[-1], list):
            result[-1][0] += 1
        else:
            result.append([1])
    return result


def processors():
    """One of each kind; patches of 7 on tiles of 28, so that a tile is 16 tokens."""
    clip = dict(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    pinpoints = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]
    shared = dict(patch_size=7, vision_feature_select_strategy="default", num_additional_image_tokens=1)

    def llama():
        return tokenizer_of("llama", bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")

    def llama3():  # its BOS is `<s>` in these goldens
        return tokenizer_of("llama3", bos_token="<s>", eos_token="<|im_end|>", pad_token="<|endoftext|>")

    def qwen2():
        return tokenizer_of("qwen2", eos_token="<|im_end|>", pad_token="<|endoftext|>")

    def one(tokenizer, template):
        return LlavaProcessor(CLIPImageProcessorPil(**clip), tokenizer, chat_template=TEMPLATES[template], **shared)

    def grid(tokenizer, template):
        images = LlavaNextImageProcessorPil(image_grid_pinpoints=pinpoints, **clip)
        return LlavaNextProcessor(images, tokenizer, chat_template=TEMPLATES[template], **shared)

    return {
        "llava, llama": (one(llama(), "hf_llava_1_5"), "llama", "hf_llava_1_5"),
        "llava, llama with bos in the template": (one(llama(), "text_llama_2"), "llama", "text_llama_2"),
        "llava_next, mistral": (grid(llama(), "hf_llava_1_6_mistral"), "llama", "hf_llava_1_6_mistral"),
        "llava_next, llama3": (grid(llama3(), "hf_llava_next_llama_3"), "llama3", "hf_llava_next_llama_3"),
        "llava_next, qwen": (grid(qwen2(), "hf_llava_next_qwen"), "qwen2", "hf_llava_next_qwen"),
    }, pinpoints


def tokenized():
    result = {}
    found, pinpoints = processors()
    for name, (processor, tokenizer_name, template) in found.items():
        tokenizer = processor.tokenizer
        image = tokenizer.convert_tokens_to_ids("<image>")
        cases = []
        for sizes in [[]] + [[size] for size in SIZES] + [[SIZES[0], SIZES[2]]]:
            messages = messages_of([("user", QUESTION, len(sizes))], template in TEXT_ONLY, None)
            prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            # What apply_chat_template does with tokenize=True, which takes images only by address.
            special = not (tokenizer.bos_token and prompt.startswith(tokenizer.bos_token))
            pictures = [picture(size) for size in sizes] or None
            ids = processor(images=pictures, text=prompt, add_special_tokens=special).input_ids
            ids = ids[0] if isinstance(ids[0], list) else ids
            cases.append({"sizes": sizes, "prompt": prompt, "ids": runs(list(map(int, ids)), image)})
        grids = pinpoints if name.startswith("llava_next") else None
        roles = {key: value for key, value in tokenizer.special_tokens_map.items() if isinstance(value, str) and key.endswith("_token")}
        result[name] = {"tokenizer": tokenizer_name, "roles": roles, "template": template, "pinpoints": grids, "image": image, "cases": cases}
    return result


def main():
    source = f"scripts/make_prompt_goldens.py; transformers {transformers.__version__}"
    data = {"source": source, "question": QUESTION, "templates": rendered(), "processors": tokenized()}
    with open(OUT / "prompts.json.gz", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())


main()
