"""Makes test/golden/data/: conversations as the original LLaVA tokenises and masks them for training.

The label rules of LLaVA's train.py (`preprocess_v1`, `preprocess_llama_2`, `preprocess_plain`, and `preprocess` for v0),
written anew from their description, run with the slow LlamaTokenizer of transformers: each finds the answers by counting
tokens of text tokenised again in pieces. `preprocess_mpt` of the original, `preprocess_qwen` and `preprocess_llama3` of
LLaVA-NeXT likewise, with fast tokenizers of make_tokenizer_goldens.py.

`preprocess_mpt` is that of July 2023 to January 2024. Later it no longer counts the `<|im_end|>` of a round, finds that the
sum of its rounds is not the length of the text, and masks everything: the maker makes sure that it still does.

Run with Python 3.11, sentencepiece 0.2.x, tokenizers 0.20.x and transformers 4.46.3:

    python scripts/make_data_goldens.py --out test/golden/data
    python scripts/make_data_goldens.py --out FOLDER --llama2 tokenizer.model

The second form uses Llama's own tokenizer, which may not be redistributed; the test that reads it takes FOLDER from the
environment variable LLAVA_TOKENIZER_GOLDENS.
"""
import argparse, gzip, io, json, os, random, tempfile
import pydoc_data.topics
import sentencepiece as spm
import tokenizers, transformers

IGNORED, IMAGE = -100, -200
SYSTEM_V1 = "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions."
SYSTEM_V0 = SYSTEM_V1.replace("user", "human")
SYSTEM_MPT = "A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and honest answers."
SYSTEM_LLAMA_2 = "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of tasks using natural language."

QUESTIONS = [
    "What is shown in this image?", "How many dogs are there?", "Answer the question using a single word or phrase.", "Why?", "  And the colour of it?  ",
    "Describe it.\nBe brief.", "What does `x = [i ** 2 for i in range(10)]` do?", "¿Qué hora es?", "这是什么？", "Is it 3.14 or 2,718?", "Compare a with b: which is 10% larger?\n\n",
    "USER and ASSISTANT are roles", "# Title\n## Part\ntext", "👍🏽 or 👎?", "Read the sign: \"STOP\"", "x" * 30, "Provide the bounding box of the region: the man on the left.",
]  # fmt: skip
ANSWERS = [
    "A dog.", "Two", "No", "It is red and white, with a blue stripe; 4 wheels.", "def f(x):\n    return x\n", "Sí, son las 3.", "一只狗。", "[0.12, 0.34, 0.56, 0.78]", "1",
    "There are several reasons:\n1. Light\n2. Shadow\n", " leading space", "trailing space ", "\nleading line", "😀", "The image features a man riding a wave on top of a surfboard.", "Yes", "...", "",
]  # fmt: skip


def conversations(count=40, seed=5):
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        turns = []
        for _ in range(1 + i % 4):
            turns += [{"from": "human", "value": rng.choice(QUESTIONS)}, {"from": "gpt", "value": rng.choice(ANSWERS)}]
        if i % 5 != 4:  # four in five have an image, before or after the first question
            first = turns[0]["value"]
            turns[0]["value"] = rng.choice(["<image>\n" + first, first + "\n<image>", first + " <image>", "<image>" + first])
        rows.append({"id": str(i), "image": i % 5 != 4, "conversations": turns})
    return rows


def corpus():
    """Prose (PSF licence), and prompts: markers must be pieces as they are Llama's, `USER` alone and `▁###` whole."""
    lines = [line.strip() for key in sorted(pydoc_data.topics.topics)[:12] for line in pydoc_data.topics.topics[key].split("\n")]
    marks = ["(USER)", "a=USER,b=USER", "x##y", "a##", "# a", "# b", "## c", "## d", "### Human: x", "### Assistant: y", "x ASSISTANT: y", "[INST] x [/INST] y"]
    return [line for line in lines if line] + QUESTIONS + ANSWERS + marks * 30


def train_model():
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=out, num_threads=1, minloglevel=2, hard_vocab_limit=False, model_type="bpe",
        vocab_size=700, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.98)  # fmt: skip
    return out.getvalue()


class Slow:
    """The slow tokenizer, with `<image>` as LLaVA puts it in: chunks tokenised one by one, one BOS in front."""

    def __init__(self, path, legacy):
        self.hf = transformers.LlamaTokenizer(path, legacy=legacy)
        self.legacy = legacy

    def ids(self, text, has_image):
        chunks = text.split("<image>") if has_image else [text]
        result = [self.hf.bos_token_id]
        for i, chunk in enumerate(chunks):
            result += ([IMAGE] if i else []) + self.hf.encode(chunk)[1:]
        return result

    def count(self, text, has_image):
        return len(self.ids(text, has_image))


def image_first(turns):
    def move(value):
        return ("<image>\n" + value.replace("<image>", "").strip()).strip() if "<image>" in value else value

    return [(turn["from"], move(turn["value"])) for turn in turns]


def by_rounds(tok, text, has_image, separator, fix_later_rounds):
    """v1 and llama_2: rounds end with `</s>`; what goes before the answer is counted with `separator`, less BOS and `▁`."""
    ids = tok.ids(text, has_image)
    labels = list(ids)
    at = 1
    labels[0] = IGNORED
    for i, part in enumerate(text.split("</s>")):
        if part == "":
            break
        question, _ = part.split(separator)
        size = tok.count(part, has_image)
        asked = tok.count(question + separator, has_image) - 2
        if fix_later_rounds and i > 0 and not tok.legacy:
            size, asked = size - 1, asked - 1
        labels[at : at + asked] = [IGNORED] * asked
        at += size
    assert at == len(ids), ("tokenization mismatch", at, len(ids), text)
    return ids, labels


def v1(tok, turns, has_image):
    text = SYSTEM_V1 + " "
    for role, value in turns:
        text += f"USER: {value} " if role == "human" else f"ASSISTANT: {value}</s>"
    return by_rounds(tok, text, has_image, " ASSISTANT: ", True)


def llama_2(tok, turns, has_image):
    text = ""
    for i, (role, value) in enumerate(turns):
        asked = f"<<SYS>>\n{SYSTEM_LLAMA_2}\n<</SYS>>\n\n{value}" if i == 0 else value
        text += f"<s>[INST] {asked} [/INST]" if role == "human" else f" {value} </s>"
    return by_rounds(tok, text.lstrip("<s>"), has_image, "[/INST] ", False)


def mistral_instruct(tok, turns, has_image):
    text = "".join(f"[INST] {value} [/INST]" if role == "human" else f" {value} </s>" for role, value in turns)
    return by_rounds(tok, text, has_image, "[/INST] ", False)


def plain(tok, turns, has_image):
    ids = tok.ids("<image>" + turns[1][1] + "\n", True)
    return ids, [IGNORED] * tok.count("<image>", True) + ids[2:]


def v0(tok, turns, has_image):
    texts = [f"### {'Human' if role == 'human' else 'Assistant'}: {value}\n" for role, value in turns]
    header = SYSTEM_V0 + "\n\n"
    ids = tok.ids(header + "".join(texts) + "### ", has_image)
    labels = list(ids)
    at = tok.count(header, has_image)
    labels[:at] = [IGNORED] * at
    for (role, _), text in zip(turns, texts):
        size = tok.count(text, has_image)
        if role == "human":
            labels[at + 2 : at + size] = [IGNORED] * (size - 2)
        at += size
    return ids, labels


RULES = {"v1": v1, "llava_llama_2": llama_2, "mistral_instruct": mistral_instruct, "plain": plain, "v0": v0}


def cases(path, rows, template, legacy):
    """For each row its ids and, as a string of 0 and 1, which of them are labels."""
    tok = Slow(path, legacy)
    result = []
    for row in rows:
        turns = image_first(row["conversations"])
        if template == "plain" and (len(turns) > 2 or not row["image"]):
            result.append(None)
            continue
        ids, labels = RULES[template](tok, turns, row["image"])
        labels = [IGNORED if label == IMAGE else label for label in labels]
        assert all(label in (IGNORED, id) for id, label in zip(ids, labels))
        result.append({"ids": ids, "trained": "".join("0" if label == IGNORED else "1" for label in labels)})
    return result


class Fast:
    """A fast tokenizer that knows `<image>`."""

    def __init__(self, data):
        self.hf = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer.from_str(json.dumps(data)))
        self.image = self.hf.convert_tokens_to_ids("<image>")

    def ids(self, text):
        return [IMAGE if id == self.image else id for id in self.hf.encode(text, add_special_tokens=False)]


def mpt(tok, turns, count_end=True):
    """None where the counts do not add up: the original then masks everything."""
    end, answer = "<|im_end|>", "<|im_end|><|im_start|>assistant\n"
    text = f"<|im_start|>system\n{SYSTEM_MPT}{end}"
    text += "".join(f"<|im_start|>{'user' if role == 'human' else 'assistant'}\n{value}{end}" for role, value in turns)
    pieces = text.split(end)
    rounds = [end.join(pieces[:3])] + [end.join(pieces[i : i + 2]) for i in range(3, len(pieces), 2)]
    ids = tok.ids(text)
    labels, at = list(ids), 0
    for part in rounds:
        if part == "":
            break
        question, _ = part.split(answer)
        size, asked = len(tok.ids(part)), len(tok.ids(question + answer))
        if count_end:
            size += len(tok.ids(end))
        else:
            asked -= 1
        labels[at : at + asked] = [IGNORED] * asked
        at += size
    return (ids, labels) if at == len(ids) else None


def by_messages(tok, start, system, turns, write, framing):
    """qwen and llama3: message by message; answers are trained with their headers, framing tokens wherever they stand."""
    ids, labels = tok.ids(start), [IGNORED] * len(tok.ids(start))
    for role, value in [("system", system)] + turns:
        part = tok.ids(write({"human": "user", "gpt": "assistant"}.get(role, role), value))
        ids += part
        labels += part if role == "gpt" else [IGNORED] * len(part)
    return ids, [id if id in framing else label for id, label in zip(ids, labels)]


def qwen(tok, turns):
    framing = tok.ids("<|im_start|>") + tok.ids("<|im_end|>") + tok.ids("\n")
    assert framing[2] == 198 and len(framing) == 3
    return by_messages(tok, "", "You are a helpful assistant.", turns, lambda role, text: f"<|im_start|>{role}\n{text}<|im_end|>\n", framing)


LLAMA_3_TOKENS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]


def llama_3(tok, turns):
    framing = [tok.hf.convert_tokens_to_ids(token) for token in LLAMA_3_TOKENS]
    write = lambda role, text: f"<|start_header_id|>{role}<|end_header_id|>\n\n{text.strip()}<|eot_id|>"
    return by_messages(tok, LLAMA_3_TOKENS[0], SYSTEM_LLAMA_2, turns, write, framing)


def fast_cases(rows):
    """By template: the tokenizer and, for each row, ids and labels as in `cases`."""
    texts = "test/golden/processor-text/json-{}.tokenizer.json.gz"
    result = {}
    for template, name, rule in (("mpt", "gpt2", mpt), ("qwen_1_5", "qwen2", qwen), ("llava_llama_3", "llama3", llama_3)):
        data = json.loads(gzip.open(texts.format(name)).read())
        if name == "llama3":
            fast = tokenizers.Tokenizer.from_str(json.dumps(data))
            fast.add_special_tokens(LLAMA_3_TOKENS)
            start = fast.token_to_id(LLAMA_3_TOKENS[0])
            fast.post_processor = tokenizers.processors.TemplateProcessing(
                single=f"{LLAMA_3_TOKENS[0]} $A", special_tokens=[(LLAMA_3_TOKENS[0], start)])  # fmt: skip
            data = json.loads(fast.to_str())
        tok = Fast(data)
        masks = []
        for row in rows:
            turns = image_first(row["conversations"])
            if template == "mpt":
                assert mpt(tok, turns, count_end=False) is None
            found = rule(tok, turns)
            if found is None:
                masks.append(None)
                continue
            ids, labels = found
            trained = "".join("0" if label in (IGNORED, IMAGE) else "1" for label in labels)
            masks.append({"ids": ids, "trained": trained})
        result[template] = {"tokenizer": data, "masks": masks}
    return result


PROMPTS = [
    "USER: <image>\nWhat is this? ASSISTANT: A dog.</s>USER: And <image> this? ASSISTANT:",
    "<image>", "<image>\n<image>\nWhich?", "a <image> b<image>c", "</s><image></s>", "  <image>  x", "no image </s>at all", "",
    "[INST] <image>\nQ1 [/INST] A1 </s>[INST] Q2 [/INST]",
    "###Human: <im_start><image><im_end>\nQ###Assistant:",
    "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\nQ1<|im_end|><|im_start|>assistant\nA1<|im_end|><|im_start|>user\nQ2<|im_end|><|im_start|>assistant\n",
    "<|im_start|>user\n<image>\nQ1<|im_end|>\n<|im_start|>assistant\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n<image>\nQ1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
]  # fmt: skip


def image_token_ids(hf, prompt):
    """tokenizer_image_token of the original: every chunk with its own BOS, of which the first alone is kept."""
    chunks = [hf(chunk).input_ids for chunk in prompt.split("<image>")]
    offset = 1 if chunks[0] and chunks[0][0] == hf.bos_token_id else 0
    ids = chunks[0][:offset]
    for i, chunk in enumerate(chunks):
        ids += ([IMAGE] if i else []) + chunk[offset:]
    return ids


def chunked(path, fast):
    """By tokenizer: each prompt's ids. Yi's is Llama's without BOS; it has `<|im_end|>` as a token of its own, Llama's has not."""
    result = {}
    for name, options in {
        "legacy": {"legacy": True}, "modern": {"legacy": False},
        "legacy without bos": {"legacy": True, "add_bos_token": False}, "modern without bos": {"legacy": False, "add_bos_token": False},
    }.items():  # fmt: skip
        hf = transformers.LlamaTokenizer(path, **options)
        if not options.get("add_bos_token", True):
            marks = [tokenizers.AddedToken(text, special=True, normalized=False) for text in ("<|im_start|>", "<|im_end|>")]
            hf.add_tokens(marks)
        result[name] = [image_token_ids(hf, prompt) for prompt in PROMPTS]
    for name in ("qwen_1_5", "llava_llama_3"):
        hf = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer.from_str(json.dumps(fast[name]["tokenizer"])))
        if name == "llava_llama_3":
            hf.bos_token = LLAMA_3_TOKENS[0]
        result[name] = [image_token_ids(hf, prompt) for prompt in PROMPTS]
    return {"prompts": PROMPTS, "ids": result}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--llama2")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    model = open(args.llama2, "rb").read() if args.llama2 else train_model()
    rows = conversations(400 if args.llama2 else 40)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokenizer.model")
        with open(path, "wb") as file:
            file.write(model)
        modes = {"legacy": True, "modern": False}
        if not args.llama2:
            fast = fast_cases(rows)
            chunks = chunked(path, fast)
        masks = {t: {mode: cases(path, rows, t, legacy) for mode, legacy in modes.items()} for t in RULES}
    source = f"scripts/make_data_goldens.py; rules of LLaVA's train.py with the slow LlamaTokenizer of transformers {transformers.__version__}, tokenizers {tokenizers.__version__}, sentencepiece {spm.__version__}"
    files = {"label-masks.model.gz": model}
    if not args.llama2:
        fast = {"source": source, "rows": rows, "templates": fast, "chunked": chunks}
        files["label-masks-fast.json.gz"] = json.dumps(fast, ensure_ascii=False, separators=(",", ":")).encode()
    for name, data in {
        **files,
        "label-masks.json.gz": json.dumps({"source": source, "rows": rows, "masks": masks}, ensure_ascii=False, separators=(",", ":")).encode(),
    }.items():  # fmt: skip
        with open(os.path.join(args.out, name), "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
            file.write(data)


main()
