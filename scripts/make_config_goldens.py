"""Makes test/golden/models/language-configs.json: what `transformers` reads from the language models' config.json files.

    pip install -r scripts/requirements.txt
    python scripts/make_config_goldens.py           (seconds)

Each case is a file as published, or as it could be, the values that its class fills in, the window of each layer, and sines
of the rotary angles at some positions.
"""

import torch
from golden_common import GOLDEN, source, write_json
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

POSITIONS = (37, 1000)
KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "max_position_embeddings", "rms_norm_eps", "hidden_act", "tie_word_embeddings",
)
GQA_7B = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}

CASES = {
    "llama defaults": {"model_type": "llama"},
    "mistral defaults": {"model_type": "mistral"},
    "qwen2 defaults": {"model_type": "qwen2"},
    "vicuna-7b-v1.5": {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 4096,
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32, "pretraining_tp": 1, "rms_norm_eps": 1e-5,
        "rope_scaling": None, "tie_word_embeddings": False, "vocab_size": 32000,
    },
    "vicuna-7b-v1.5-16k": {
        "model_type": "llama", "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_scaling": {"factor": 4.0, "type": "linear"},
    },
    "mistral-7b-instruct-v0.1": {
        "model_type": "mistral", **GQA_7B, "max_position_embeddings": 32768, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "sliding_window": 4096, "vocab_size": 32000,
    },
    "mistral-7b-instruct-v0.2": {
        "model_type": "mistral", **GQA_7B, "max_position_embeddings": 32768, "rms_norm_eps": 1e-5, "rope_theta": 1000000.0,
        "sliding_window": None, "vocab_size": 32000,
    },
    "yi-34b": {
        "model_type": "llama", "hidden_size": 7168, "intermediate_size": 20480, "num_hidden_layers": 60, "num_attention_heads": 56,
        "num_key_value_heads": 8, "vocab_size": 64000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 5000000.0,
    },
    "llama-3-8b": {
        "model_type": "llama", **GQA_7B, "vocab_size": 128256, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
        "rope_scaling": None, "rope_theta": 500000.0,
    },
    "llama-3.1-8b": {
        "model_type": "llama", **GQA_7B, "vocab_size": 128256, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
        "rope_scaling": {
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
        "rope_theta": 500000.0,
    },
    "qwen1.5-72b": {
        "model_type": "qwen2", "hidden_size": 8192, "intermediate_size": 24576, "num_hidden_layers": 80, "num_attention_heads": 64,
        "num_key_value_heads": 64, "vocab_size": 152064, "max_position_embeddings": 32768, "max_window_layers": 70,
        "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "sliding_window": 32768, "use_sliding_window": False,
    },
    "qwen2-0.5b": {
        "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 151936, "max_position_embeddings": 131072, "max_window_layers": 24,
        "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "sliding_window": 131072, "use_sliding_window": False,
        "tie_word_embeddings": True,
    },
    "qwen2 with a window": {"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 20, "num_hidden_layers": 24},
    "qwen2 with a window by layer types": {
        "model_type": "qwen2", "use_sliding_window": True, "sliding_window": 100, "num_hidden_layers": 3,
        "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
    },
    "qwen2 without key-value heads": {"model_type": "qwen2", "num_key_value_heads": None, "num_attention_heads": 16},
    "transformers 5": {
        "model_type": "llama", "head_dim": 64, "rope_parameters": {"factor": 2.0, "rope_theta": 20000.0, "rope_type": "linear"},
    },
}


def windows(config):
    window = getattr(config, "sliding_window", None)
    if config.model_type == "llama":
        return [None] * config.num_hidden_layers
    types = getattr(config, "layer_types", None) or ["sliding_attention"] * config.num_hidden_layers
    return [window if kind == "sliding_attention" else None for kind in types]


def case(file):
    config = AutoConfig.for_model(**file)
    rotary = LlamaRotaryEmbedding(config)
    _, sines = rotary(torch.zeros(1), torch.tensor([POSITIONS]))
    half = sines.shape[-1] // 2
    return {
        "file": file, "values": {key: getattr(config, key) for key in KEYS}, "head_dim": 2 * half,
        "rope_theta": config.rope_parameters["rope_theta"], "windows": windows(config), "sines": [[round(x, 7) for x in row] for row in sines[0, :, :half].tolist()],
    }


def main():
    cases = {name: case(file) for name, file in CASES.items()}
    record = {"source": source("make_config_goldens.py"), "positions": POSITIONS, "cases": cases}
    write_json(GOLDEN / "models" / "language-configs.json", record)


if __name__ == "__main__":
    main()
