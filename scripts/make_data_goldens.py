"""Makes test/golden/data/: conversations as the original LLaVA tokenises and masks them for training.

The label rules of LLaVA's train.py (`preprocess_v1`, `preprocess_llama_2`, `preprocess_plain`, and `preprocess` for v0),
written anew from their description, run with the slow LlamaTokenizer of transformers: each finds the answers by counting
tokens of text tokenised again in pieces.

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


RULES = {"v1": v1, "llava_llama_2": llama_2, "plain": plain, "v0": v0}


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
        masks = {t: {mode: cases(path, rows, t, legacy) for mode, legacy in modes.items()} for t in RULES}
    source = f"scripts/make_data_goldens.py; rules of LLaVA's train.py with the slow LlamaTokenizer of transformers {transformers.__version__}, tokenizers {tokenizers.__version__}, sentencepiece {spm.__version__}"
    for name, data in {
        "label-masks.model.gz": model,
        "label-masks.json.gz": json.dumps({"source": source, "rows": rows, "masks": masks}, ensure_ascii=False, separators=(",", ":")).encode(),
    }.items():  # fmt: skip
        with open(os.path.join(args.out, name), "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
            file.write(data)


main()
