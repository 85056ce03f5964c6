"""Makes test/golden/processor-text/: small tokenizers and what the reference libraries encode with them.

Run with Python 3.11, sentencepiece 0.2.x, tokenizers 0.20.x and transformers 4.46.3 (the last with the slow Llama
tokenizer, whose `legacy` behaviour is a reference here):

    python scripts/make_tokenizer_goldens.py --out test/golden/processor-text
    python scripts/make_tokenizer_goldens.py --out FOLDER --llama2 tokenizer.model [--clip bpe_simple_vocab.txt.gz]

The second form adds goldens, of several thousand strings, for tokenizers that may not be redistributed; the test that
reads them takes FOLDER from the environment variable LLAVA_TOKENIZER_GOLDENS.
"""
import argparse, gzip, io, json, os, random, re, shutil, struct, tempfile
import pydoc_data.topics
import sentencepiece as spm
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
import transformers

FIXED = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", "\t\t", "\r\n", " \n", "\n ", " \n \n ", "a", " a", "a ", " a ", "  a  b  ", "▁", "▁a", "a▁b", "▁▁",
    "Hello, world!", "The quick brown fox jumps over the lazy dog.", "What is shown in this image?", "USER: <image>\nWhat is unusual about this image? ASSISTANT:",
    "<s>", "</s>", "<unk>", "<image>", "<pad>", "<s>a", "a<s>", "a</s>b", "A1</s>USER: Q2 ASSISTANT:", "A1 </s> USER: Q2", "</s></s>", "<s><s>x</s>", " <s> ",
    "x<image>y", "<image>\n", "\n<image>", "<image><image>", " <image> <image> ", "<unk>a<unk>", "<S>", "</S>", "< s>", "<s", "s>", "<s></", "<<s>>", "<s/>", "<0x41>", "<0x0A>b",
    "[INST] <<SYS>>\nYou are helpful.\n<</SYS>>\n\nHi [/INST] Hello </s><s>[INST] Bye [/INST]", "###Human: hi###Assistant: hello###",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|>", "<|im_start|><|im_end|>", "a<|im_end|>b",
    "é", "e\u0301", "ñandú", "ÅÅ\u212b", "ﬁ ﬂ", "①②③", "½ ¼", "ｆｕｌｌ　ｗｉｄｔｈ", "ＡＢＣ１２３", "ﷺ", "㍿", "ẞß", "İıI", "ΑΒΓ αβγς", "Дом и сад", "שלום עולם", "مرحبا بالعالم", "السَّلامُ عَلَيْكُمْ",
    "नमस्ते दुनिया", "สวัสดีชาวโลก", "안녕하세요 세계", "\u1112\u1161\u11ab", "你好，世界！", "こんにちは世界", "今日は2024年1月1日です。", "𠮷野家", "𝓗𝓮𝓵𝓵𝓸", "𝟘𝟙𝟚",
    "😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "❤️", "a😀b", "😀😀😀", "☃", "\U0010ffff", "\ue000", "\ufffd", "\ufeff", "\u200b", "a\u200bb", "\u200d", "\u00ad", "a\u00a0b", "\u2003x\u2009y\u3000z", "\u2028\u2029", "\x00", "a\x00b", "\x01\x02\x7f", "\x85", "\x1b[0m",
    "a\u0300\u0301\u0302\u0303\u0304b", "Z\u0351\u0343a\u0335l\u0321g\u0322o", "\u0301", "\u0301a", "q\u0307\u0323", "\u1e69", "s\u0323\u0307",
    "def f(x):\n    return x ** 2  # square\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n", "const x = `${y}` ?? null;", "SELECT * FROM t WHERE a='b';", "<div class=\"x\">&amp;</div>", "#include <stdio.h>", "a=b;c==d;e!=f;g>=h", "C:\\Users\\x\\n", "https://example.com/a?b=c&d=%20e#f", "user@example.com", "{\"a\": [1, 2.5e-3, null]}", "```python\nprint('hi')\n```",
    "1234567890", "3.14159", "1,000,000", "0x1F", "2024-01-31T23:59:59Z", "100%", "$9.99", "+1 (555) 123-4567", "1 2  3   4", "12 345", "٠١٢٣", "Ⅷ", "x² + y³", "H₂O",
    "I'm you're he'll we've they'd it's DON'T CAN'T I'Ll", "don’t", "'s 't 're", "''", "\"quoted\"", "“curly” ‘quotes’", "…", "— – -", "!!!", "?!?!", "....", "a.b.c", "(a)[b]{c}", "~`@#$%^&*()_+-=", "___", "__init__",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abababababababababab", "=" * 40, "-" * 33, " " * 17 + "x", "x" + " " * 17, "\n" * 9, "\t \t \t", "a\n\n\nb", "a \n b", "a\r\nb\rc", "\x0b\x0c", " \u00a0 ", "word " * 8, "lalalalala" * 3,
    "camelCaseIdentifier", "snake_case_identifier", "SCREAMING_CASE", "MixedCASEwords", "iPhone XS", "naïve café résumé", "Straße", "ŒUVRE œuvre", "Æther", "ﬀ", "ŉ", "ǅ", "ΐ", "K\u212aK", "ſ",
    "▁ ▁", " ▁ ", "▁</s>▁", " </s> ", "\n</s>\n", "x </s>y", "x</s> y", "</s>▁y", "<image>▁", "<image> x", "<image>x", "foo<mask>bar", "foo <mask> bar", "  <mask>  ", "single<word>", "a <word> b", "<word>", "<word>s", "_<word>", "é<word>", "<norm>", "<NORM> x",
]  # fmt: skip

SCRIPTS = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF),
           (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2100, 0x218F), (0x2460, 0x24FF), (0x3040, 0x30FF), (0x3300, 0x33FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
           (0xFB00, 0xFDFF), (0xFE00, 0xFEFE), (0xFF00, 0xFFEF), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF), (0x0, 0x1F), (0xE000, 0xE010), (0x20000, 0x2A6DF)]  # fmt: skip


def mixed_texts(count, seed=7):
    """FIXED, then random mixtures of it with words and with random characters of each script."""
    rng = random.Random(seed)
    words = re.findall(r"\S+", "".join(pydoc_data.topics.topics[k] for k in ("strings", "lambda", "assert")))
    texts = list(FIXED)
    while len(texts) < count:
        parts = []
        for _ in range(rng.randint(1, 12)):
            kind = rng.random()
            if kind < 0.4:
                parts.append(rng.choice(words))
            elif kind < 0.7:
                parts.append(rng.choice(FIXED))
            elif kind < 0.85:
                low, high = rng.choice(SCRIPTS)
                parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))))
            else:
                parts.append(rng.choice([" ", "  ", "\n", "\t", "\r\n", "    ", "\u3000", "\u00a0"]) * rng.randint(1, 4))
            if rng.random() < 0.6:
                parts.append(" ")
        texts.append("".join(parts))
    return texts


def corpus():
    """Training lines: the Python documentation's language topics (PSF licence) and FIXED, for other scripts."""
    lines = [line.strip() for key in sorted(pydoc_data.topics.topics) for line in pydoc_data.topics.topics[key].split("\n")]
    other = [text for text in FIXED if "<" not in text and "\x00" not in text and text.strip()]
    return [line for line in lines if line][:4000] + other * 3


def write_gz(path, value):
    data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(data)


# --- SentencePiece -------------------------------------------------------------------------------------------------

SPM = {
    # As Llama's: identity normaliser, nothing stripped, byte fallback, digits split, whitespace runs as pieces.
    "sp-bpe-llama": dict(model_type="bpe", vocab_size=900, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                         add_dummy_prefix=True, split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.98),
    "sp-bpe-nodummy": dict(model_type="bpe", vocab_size=700, byte_fallback=False, normalization_rule_name="identity", remove_extra_whitespaces=True,
                           add_dummy_prefix=False, user_defined_symbols=["<image>", "lambda", "foo bar"], control_symbols=["<ctl>"], character_coverage=0.98),
    "sp-unigram-nfkc": dict(model_type="unigram", vocab_size=800, normalization_rule_name="nmt_nfkc", user_defined_symbols=["<image>", "<sep>"],
                            control_symbols=["<cls>"], character_coverage=0.98),
    "sp-unigram-bytes": dict(model_type="unigram", vocab_size=900, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                             character_coverage=0.985, pad_id=3, split_by_number=False),
    "sp-unigram-suffix": dict(model_type="unigram", vocab_size=700, normalization_rule_name="identity", treat_whitespace_as_suffix=True,
                              character_coverage=0.98),
}  # fmt: skip


def train_spm(name, options):
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus()), model_writer=out, num_threads=1, minloglevel=2,
                                   hard_vocab_limit=False, **options)  # fmt: skip
    return mark_unused(out.getvalue()) if name == "sp-bpe-nodummy" else out.getvalue()


def mark_unused(model):
    """Turns some long pieces into UNUSED ones, which the encoder must split again."""
    from sentencepiece import sentencepiece_model_pb2 as pb

    proto = pb.ModelProto.FromString(model)
    for piece in proto.pieces[150:400:7]:
        if piece.type == piece.NORMAL:
            piece.type = piece.UNUSED
    return proto.SerializeToString()


def llama2c_model(path):
    """The SentencePiece model that llama2.c's tok512.bin (stories260K, MIT) was exported from, as far as it says."""
    from sentencepiece import sentencepiece_model_pb2 as pb

    data, at, proto = open(path, "rb").read(), 4, pb.ModelProto()
    while at < len(data):
        score, length = struct.unpack_from("<fi", data, at)
        id, piece = len(proto.pieces), data[at + 8 : at + 8 + length].decode()
        at += 8 + length
        name = ["<unk>", "<s>", "</s>"][id] if id < 3 else piece.replace(" ", "▁")
        proto.pieces.add(piece=name, score=score, type=2 if id == 0 else 3 if id < 3 else 6 if id < 259 else 1)
    proto.trainer_spec.model_type = 2
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.unk_surface = "<unk>"
    proto.normalizer_spec.remove_extra_whitespaces = False
    return proto.SerializeToString()


def spm_goldens(model, texts):
    sp = spm.SentencePieceProcessor(model_proto=model)
    ids = [sp.encode(text) for text in texts]
    rng = random.Random(3)
    mixtures = [[rng.randrange(sp.get_piece_size()) for _ in range(rng.randint(1, 12))] for _ in range(200)]
    return {"ids": ids, "decoded": [sp.decode(x) for x in ids], "mixtures": mixtures, "mixturesDecoded": [sp.decode(x) for x in mixtures]}


ADDED = ["<image>", "<pad>"]


def llama_slow_goldens(model, texts, special_added=ADDED):
    """HF's slow LlamaTokenizer, legacy and not, with `<image>` and `<pad>` added after the vocabulary."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokenizer.model")
        with open(path, "wb") as file:
            file.write(model)
        for legacy in (True, False):
            hf = transformers.LlamaTokenizer(path, legacy=legacy)
            hf.add_tokens([AddedToken(t, special=True, normalized=False) for t in special_added])
            result["legacy" if legacy else "modern"] = [hf.encode(text) for text in texts]
    return result


TURNS = [
    ["<image>\nWhat is shown in this image?", "A red bus  on a street."],
    ["Describe it.\n<image>", "def f(x):\n    return x\n", "And now?", "  indented, 😀 👨‍👩‍👧‍👦 end"],
    ["<image>\nRead the text", "你好，世界！", "Translate.", "Hello, world!", "Thanks", "\nYou are welcome. "],
    ["No image here: 1 + 1?", "2", "Sure?", "Yes."],
    ["<image>\nA\n<image>\nB: which?", "B", "Why?", "Because it is 3.5% bigger than <A>."],
]
SYSTEM = "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions."


def image_token_ids(hf, prompt):
    """What haotian-liu/LLaVA's tokenizer_image_token gives: chunks around `<image>` by themselves, -200 between, one BOS."""
    chunks = [hf(chunk).input_ids for chunk in prompt.split("<image>")]
    offset = 1 if chunks[0] and chunks[0][0] == hf.bos_token_id else 0
    ids = chunks[0][:offset]
    for i, chunk in enumerate(chunks):
        ids += ([-200] if i else []) + chunk[offset:]
    return ids


def trained_by_rounds(hf, prompt, answer_mark, corrected):
    """Which positions LLaVA's preprocess_v1 (corrected for non-legacy tokenizers) and preprocess_llama_2 leave
    unmasked: rounds are tokenised again and their lengths added up."""
    ids = image_token_ids(hf, prompt)
    trained = [True] * len(ids)
    trained[0] = False
    cur = 1
    for i, round in enumerate(prompt.split("</s>")):
        if not round:
            break
        question = round.split(answer_mark)[0] + answer_mark
        round_len, question_len = len(image_token_ids(hf, round)), len(image_token_ids(hf, question)) - 2
        if corrected and i and not hf.legacy:
            round_len, question_len = round_len - 1, question_len - 1
        for k in range(cur, min(cur + question_len, len(ids))):
            trained[k] = False
        cur += round_len
    return ids, trained, cur == len(ids)


def prompt_goldens(model):
    result = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokenizer.model")
        with open(path, "wb") as file:
            file.write(model)
        for legacy in (True, False):
            hf = transformers.LlamaTokenizer(path, legacy=legacy)
            for turns in TURNS:
                pairs = list(zip(turns[::2], turns[1::2]))
                vicuna = SYSTEM + " " + "".join(f"USER: {q} ASSISTANT: {a}</s>" for q, a in pairs)
                mistral = "".join(f"[INST] {q} [/INST] {a} </s>" for q, a in pairs)
                for template, prompt, mark in (("vicuna_v1", vicuna, " ASSISTANT: "), ("mistral_instruct", mistral, "[/INST] ")):
                    ids, trained, consistent = trained_by_rounds(hf, prompt, mark, template == "vicuna_v1")
                    result.append({"legacy": legacy, "template": template, "turns": turns, "ids": ids, "trained": trained if consistent else None})
    return result


# The trainer of `tokenizers` breaks ties by hash order: these tokenizers differ a little from run to run.
# --- tokenizer.json ------------------------------------------------------------------------------------------------

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
BYTES = [f"<0x{i:02X}>" for i in range(256)]
LLAMA_DECODER = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]


def bos_template(token, id):
    return processors.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, id)])


def train_llama_like(vocab_size, metaspace):
    tk = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tk.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always", True)
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=["<unk>", "<s>", "</s>"] + BYTES, limit_alphabet=150, show_progress=False)
    tk.train_from_iterator(corpus(), trainer)
    data = json.loads(tk.to_str())
    data["added_tokens"] = data["added_tokens"][:3]
    tk = Tokenizer.from_str(json.dumps(data))
    tk.model.byte_fallback = True
    if metaspace is None:  # the classic conversion of Llama's tokenizer
        tk.pre_tokenizer = None
        tk.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tk.decoder = decoders.Sequence(LLAMA_DECODER)
    else:
        tk.pre_tokenizer = metaspace
        tk.decoder = decoders.Metaspace("▁", metaspace.prepend_scheme) if metaspace.split else decoders.Sequence(LLAMA_DECODER)
    tk.post_processor = bos_template("<s>", 1)
    tk.add_special_tokens([AddedToken("<image>", normalized=False), AddedToken("<pad>", normalized=False)])
    tk.add_tokens([AddedToken("<mask>", lstrip=True, rstrip=True), AddedToken("<word>", single_word=True), AddedToken("<norm>", normalized=True)])
    return tk


def train_byte_level(pattern, normalizer, ignore_merges=False, prefix_space=False):
    tk = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tk.normalizer = normalizer
    split = [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)] if pattern else None
    tk.pre_tokenizer = pre_tokenizers.Sequence(split) if split else pre_tokenizers.ByteLevel(prefix_space)
    tk.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=[], show_progress=False))  # fmt: skip
    tk.decoder = decoders.ByteLevel()
    tk.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<s>"])
    tk.add_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<word>", single_word=True, rstrip=True), AddedToken("<NORM>", normalized=True)])
    return tk


def gpt2():
    tk = train_byte_level(None, None, prefix_space=True)
    tk.post_processor = processors.ByteLevel(trim_offsets=False)
    return tk


def llama3():
    tk = train_byte_level(LLAMA3, None, ignore_merges=True)
    start = bos_template("<s>", tk.token_to_id("<s>"))
    tk.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), start])
    return tk


def qwen2():
    tk = train_byte_level(QWEN2, normalizers.NFC())
    tk.post_processor = processors.ByteLevel(trim_offsets=False)
    return tk


def digits():
    """SmolLM's digits, with the normalisers that the others lack."""
    tk = Tokenizer(models.BPE())
    tk.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    tk.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tk.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, special_tokens=["<s>", "<image>"], show_progress=False))
    tk.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    return tk


def clip_parts(tk):
    tk.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tk.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True), pre_tokenizers.ByteLevel(False)])
    tk.decoder = decoders.ByteLevel()


def clip_finish(tk):
    tk.add_special_tokens([AddedToken("<|startoftext|>", normalized=True), AddedToken("<|endoftext|>", normalized=False)])
    ends = [(t, tk.token_to_id(t)) for t in ("<|endoftext|>", "<|startoftext|>")]
    tk.post_processor = processors.RobertaProcessing(sep=ends[0], cls=ends[1], trim_offsets=False, add_prefix_space=False)
    return tk


def clip():
    tk = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", fuse_unk=False))
    clip_parts(tk)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tk.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=1100, initial_alphabet=alphabet, end_of_word_suffix="</w>",
                                                         special_tokens=["<|startoftext|>", "<|endoftext|>"], show_progress=False))  # fmt: skip
    return clip_finish(tk)


JSON = {
    "json-llama": lambda: train_llama_like(800, None),
    "json-metaspace-first": lambda: train_llama_like(700, pre_tokenizers.Metaspace("▁", "first", False)),
    "json-metaspace-split": lambda: train_llama_like(700, pre_tokenizers.Metaspace("▁", "always", True)),
    "json-gpt2": gpt2,
    "json-llama3": llama3,
    "json-qwen2": qwen2,
    "json-clip": clip,
    "json-digits": digits,
}


def split_goldens():
    """Every behaviour of the Split pre-tokenizer, on texts with runs of delimiters at either end."""
    result = []
    for text in ("a-b--c", "--a-", "-", "abc", "a--", "---", "-a--b-c---"):
        for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
            for invert in (False, True):
                pieces = pre_tokenizers.Split(Regex("-"), behavior, invert).pre_tokenize_str(text)
                name = "".join(word.capitalize() for word in behavior.split("_"))
                result.append({"text": text, "behavior": name, "invert": invert, "pieces": [piece for piece, _ in pieces]})
    return result


def json_goldens(tk, texts):
    ids = [tk.encode(text).ids for text in texts]
    bare = [tk.encode(text, add_special_tokens=False).ids for text in texts]
    rng = random.Random(5)
    size = tk.get_vocab_size()
    mixtures = [[rng.randrange(size) for _ in range(rng.randint(1, 12))] for _ in range(200)]
    return {"ids": ids, "bare": [i if a != i else None for a, i in zip(ids, bare)],
            "decoded": [tk.decode(x, skip_special_tokens=True) for x in ids],
            "decodedSpecial": [tk.decode(x, skip_special_tokens=False) for x in ids],
            "mixtures": mixtures, "mixturesDecoded": [tk.decode(x, skip_special_tokens=False) for x in mixtures]}  # fmt: skip


def full_clip(path):
    """The published CLIP tokenizer in tokenizer.json form, from its merges file (MIT)."""
    lines = gzip.open(path).read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    merges = [tuple(line.split()) for line in lines]
    alphabet = list(transformers.models.clip.tokenization_clip.bytes_to_unicode().values())
    vocab = alphabet + [c + "</w>" for c in alphabet] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    tk = Tokenizer(models.BPE({t: i for i, t in enumerate(vocab)}, merges, unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    clip_parts(tk)
    return clip_finish(tk)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--llama2")
    parser.add_argument("--clip")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    big = bool(args.llama2 or args.clip)
    texts = mixed_texts(6000 if big else 420, seed=11 if big else 7)
    source = f"sentencepiece {spm.__version__}, tokenizers {tokenizers.__version__}, transformers {transformers.__version__}; scripts/make_tokenizer_goldens.py"
    write_gz(os.path.join(args.out, "texts.json.gz"), {"source": source, "texts": texts})
    if big:
        return make_big(args, texts, source)
    for name, options in SPM.items():
        model = train_spm(name, options)
        goldens = {"source": source, **spm_goldens(model, texts)}
        if name == "sp-bpe-llama":
            goldens |= llama_slow_goldens(model, texts) | {"prompts": prompt_goldens(model)}
        write_gz(os.path.join(args.out, f"{name}.model.gz"), model)
        write_gz(os.path.join(args.out, f"{name}.golden.json.gz"), goldens)
    stories = os.path.join(args.out, "tok512.bin")
    if os.path.exists(stories):
        write_gz(os.path.join(args.out, "tok512.golden.json.gz"), {"source": source, **spm_goldens(llama2c_model(stories), texts)})
    write_gz(os.path.join(args.out, "splits.json.gz"), {"source": source, "splits": split_goldens()})
    for name, make in JSON.items():
        tk = make()
        write_gz(os.path.join(args.out, f"{name}.tokenizer.json.gz"), json.loads(tk.to_str()))
        write_gz(os.path.join(args.out, f"{name}.golden.json.gz"), {"source": source, **json_goldens(tk, texts)})


def make_big(args, texts, source):
    if args.llama2:
        model = open(args.llama2, "rb").read()
        goldens = {"source": source, **spm_goldens(model, texts), **llama_slow_goldens(model, texts), "prompts": prompt_goldens(model)}
        shutil.copy(args.llama2, os.path.join(args.out, "llama2.model"))
        write_gz(os.path.join(args.out, "llama2.golden.json.gz"), goldens)
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(args.llama2, os.path.join(folder, "tokenizer.model"))
            fast = transformers.LlamaTokenizerFast.from_pretrained(folder)
        write_gz(os.path.join(args.out, "llama2-fast.tokenizer.json.gz"), json.loads(fast.backend_tokenizer.to_str()))
        write_gz(os.path.join(args.out, "llama2-fast.golden.json.gz"), {"source": source, **json_goldens(fast.backend_tokenizer, texts)})
    if args.clip:
        tk = full_clip(args.clip)
        write_gz(os.path.join(args.out, "clip.tokenizer.json.gz"), json.loads(tk.to_str()))
        write_gz(os.path.join(args.out, "clip.golden.json.gz"), {"source": source, **json_goldens(tk, texts)})


main()
