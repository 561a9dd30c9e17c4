"""A llama model of random weights, half a megabyte small, and llama.cpp's own server around it.

`python tiny_model.py FILE PORT KEY MODEL` writes the model to FILE and serves it as MODEL. The vocabulary is the 256
bytes and the printable ASCII characters: what it says is noise, but it is counted and streamed as any model's answer.
"""

from __future__ import annotations

import sys
import threading

import gguf
import numpy as np

_WIDTH, _HEADS, _LAYERS, _INNER, _CONTEXT = 64, 4, 2, 128, 2048
_SPECIAL = ("<unk>", "<s>", "</s>")
_CHAT_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


def write(path: str) -> None:
    model = gguf.GGUFWriter(path, "llama")
    model.add_context_length(_CONTEXT)
    model.add_embedding_length(_WIDTH)
    model.add_block_count(_LAYERS)
    model.add_feed_forward_length(_INNER)
    model.add_head_count(_HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_rope_dimension_count(_WIDTH // _HEADS)
    model.add_chat_template(_CHAT_TEMPLATE)
    _add_weights(model, words=_add_vocabulary(model))
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


def serve(path: str, *, port: int, key: str, name: str) -> None:
    """Until killed."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [key]
    params.n_ctx = _CONTEXT
    params.n_parallel = 2
    params.cpuparams.n_threads = 1
    params.warmup = False
    running = xllamacpp.Server(params)
    threading.Event().wait()
    del running


def _add_vocabulary(model: gguf.GGUFWriter) -> int:
    """Its size. A character's token is likelier than that of its byte."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    characters = ["▁" if character == " " else character for character in map(chr, range(32, 127))]
    words = [*_SPECIAL, *bytes_, *characters]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * len(bytes_) + [gguf.TokenType.NORMAL] * len(characters)
    model.add_tokenizer_model("llama")
    model.add_token_list(words)
    model.add_token_scores([0.0] * len(_SPECIAL) + [-1000.0] * len(bytes_) + [-1.0] * len(characters))
    model.add_token_types(kinds)
    model.add_bos_token_id(1)
    model.add_eos_token_id(2)
    model.add_unk_token_id(0)
    model.add_vocab_size(len(words))
    return len(words)


def _add_weights(model: gguf.GGUFWriter, *, words: int) -> None:
    random = np.random.default_rng(7)

    def add(name: str, *shape: int) -> None:
        model.add_tensor(f"{name}.weight", (random.standard_normal(shape) * 0.05).astype(np.float32))

    def add_ones(name: str) -> None:
        model.add_tensor(f"{name}.weight", np.ones(_WIDTH, np.float32))

    add("token_embd", words, _WIDTH)
    add("output", words, _WIDTH)
    add_ones("output_norm")
    for layer in (f"blk.{number}" for number in range(_LAYERS)):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"{layer}.{part}", _WIDTH, _WIDTH)
        add(f"{layer}.ffn_gate", _INNER, _WIDTH)
        add(f"{layer}.ffn_up", _INNER, _WIDTH)
        add(f"{layer}.ffn_down", _WIDTH, _INNER)
        add_ones(f"{layer}.attn_norm")
        add_ones(f"{layer}.ffn_norm")


if __name__ == "__main__":
    file, port, key, name = sys.argv[1:]
    write(file)
    serve(file, port=int(port), key=key, name=name)
