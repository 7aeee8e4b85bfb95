#!/usr/bin/env python3
"""Small random Mixtral checkpoints, and what Hugging Face's own classes make of them: tests/data/mixtral/.

    pip install torch transformers tokenizers safetensors
    python tests/oracles/mixtral_golden.py tests/data/mixtral

Made with torch 2.15.0, transformers 5.24.0, tokenizers 0.23.3. Everything is computed in fp32 from the weights as saved.
"""
import glob
import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaTokenizerFast, MixtralConfig, MixtralForCausalLM

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]
CORPUS = """The expert that a router chooses must be in fast memory before its weights can be read.
A cache of experts keeps those that were used last, and the others are read from the host when they are needed.
It was a truth universally acknowledged, that a single man in possession of a good fortune must be in want of a wife.
In the beginning God created the heaven and the earth. And the earth was without form, and void; and darkness was there.
def read_weights(path): return [open(p, "rb").read() for p in sorted(path)]  # the shards, one after the other
für die Straße und das Mädchen; déjà vu, naïve, señor; 1234567890 + 3.14159 = 3.0"""
TEXTS = ["", " ", "  ", "a", " a", "a ", "  a  b  ", "Hello world", " Hello world", "Hello  world\n", "\n", "\t\tx = 1\r\n",
         "the router chooses the experts", "The experts' weights", "naïve Straße déjà vu", "e\u0301 is not \u00e9",
         "日本語のテキスト", "Привет, мир", "😀", "👩‍👩‍👧‍👦 family", "a😀b", "\u00a0nbsp\u3000wide", "\u200bzero\ufeff", "▁", "▁▁a",
         "a▁b", " ▁ ", "<s>", "</s>", "<s>Hello", "Hello</s> world", "x <s> y", "<s> x", "</s></s>", "<unk>", "<unk> a",
         "<0x41>", "<0x0A> <0xFF>", "[INST] Hi [/INST] ok", "[INST]", "a[INST] b", "<s>[INST] a [/INST]</s>",
         "\u0000nul", "don't I'll we've", "12345 3.14", "...!!??", "    indented", "a\n\n\n b", "ÀÉÎ", "ﬁ ligature",
         "\U0010ffff\U00010000", "한국어", "عربى", "ħ the ħħ", "a" * 40, "the " * 12, "<s", "s>", "< s >"]


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def save(path, dtype, original=True, shard_bytes=None, **config):
    """A checkpoint as save_pretrained writes it."""
    torch.manual_seed(7)
    model = MixtralForCausalLM(MixtralConfig(hidden_size=16, intermediate_size=12, num_hidden_layers=2,
                                             num_attention_heads=4, num_key_value_heads=1, num_local_experts=4,
                                             max_position_embeddings=64, **config)).to(torch.float32)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1 + 0.3 * torch.randn_like(p) if "norm" in name else 0.35 * torch.randn_like(p))
        model.get_input_embeddings().weight.mul_(3)
    limit = {"max_shard_size": shard_bytes} if shard_bytes else {}
    model.to(dtype).save_pretrained(path, save_original_format=original, **limit)
    for name in ("generation_config.json",):
        if os.path.exists(f"{path}/{name}"):
            os.remove(f"{path}/{name}")


@torch.no_grad()
def golden(path, prompts, num_tokens):
    model = MixtralForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    cases, tensors = [], {}
    for i, ids in enumerate(prompts):
        out = model(torch.tensor([ids]), output_router_logits=True, output_hidden_states=True, use_cache=False)
        tensors[f"p{i}.logits"] = out.logits[0]
        tensors[f"p{i}.hidden_last"] = torch.stack([h[0, -1] for h in out.hidden_states])
        tensors[f"p{i}.router_logits_last"] = torch.stack([r[-1] for r in out.router_logits])
        greedy, margins = [], []
        for _ in range(num_tokens):  # no cache: the whole text anew for every token
            last = model(torch.tensor([ids + greedy]), use_cache=False).logits[0, -1]
            top = last.topk(2).values
            margins.append(round(float(top[0] - top[1]), 4))
            greedy.append(int(last.argmax()))
        tensors[f"p{i}.logits_after_greedy"] = last
        cases.append({"input_ids": ids, "greedy": greedy, "least_margin": min(margins)})
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, f"{path}/golden.safetensors")
    json.dump(cases, open(f"{path}/golden.json", "w"))
    print(path, [c["least_margin"] for c in cases], [c["greedy"][:10] for c in cases])


def train():
    """Vocabulary and merges of the kind that SentencePiece makes: special tokens, the bytes, pieces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(CORPUS.split("\n"), trainers.BpeTrainer(vocab_size=125, show_progress=False))
    trained = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(trained["vocab"], key=trained["vocab"].get)
    vocab = {t: i for i, t in enumerate(SPECIAL + BYTES + pieces)}
    return vocab, [tuple(m) for m in trained["merges"]]


def bos():
    return processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])


def llama_decoder(strip=True):
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(parts + ([decoders.Strip(content=" ", left=1)] if strip else []))


def tokenizers(vocab, merges):
    def make(normalizer, pre_tokenizer, decoder, **model):
        options = {"fuse_unk": True, "byte_fallback": True, "unk_token": "<unk>", **model}
        tokenizer = Tokenizer(models.BPE(**{"vocab": vocab, "merges": merges, **options}))
        if normalizer:
            tokenizer.normalizer = normalizer
        if pre_tokenizer:
            tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.decoder = decoder
        tokenizer.post_processor = bos()
        tokenizer.add_special_tokens([t for t in SPECIAL if t in options.get("vocab", vocab)])
        return tokenizer

    legacy = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    metaspace = pre_tokenizers.Metaspace
    no_bytes = {t: i for i, t in enumerate(t for t in vocab if t not in BYTES)}
    # Half of a two-byte character has a token, the other half has none: both fall to <unk>.
    some_bytes = {t: i for i, t in enumerate(t for t in vocab if t not in BYTES or t in ("<0xC3>", "<0xA9>", "<0x0A>"))}
    whole_words = {**vocab, "▁router": len(vocab), "Hello": len(vocab) + 1, "▁Hello▁world": len(vocab) + 2}
    yield "mixtral-8x7b", make(legacy, None, llama_decoder())
    yield "metaspace-first", make(None, metaspace(prepend_scheme="first", split=False), llama_decoder())
    yield "metaspace-always", make(None, metaspace(prepend_scheme="always", split=True),
                                   decoders.Metaspace(prepend_scheme="always"))
    yield "metaspace-never", make(None, metaspace(prepend_scheme="never", split=False), llama_decoder(strip=False))
    yield "nfc", make(normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", "▁")]), None, llama_decoder())
    yield "unknown-fused", make(legacy, None, llama_decoder(), vocab=no_bytes)
    yield "unknown-apart", make(legacy, None, llama_decoder(), vocab=no_bytes, fuse_unk=False)
    yield "unknown-dropped", make(legacy, None, llama_decoder(), vocab=no_bytes, unk_token=None)
    yield "some-bytes", make(legacy, None, llama_decoder(), vocab=some_bytes)
    yield "ignore-merges", make(None, metaspace(prepend_scheme="first", split=True), llama_decoder(), vocab=whole_words,
                                ignore_merges=True)
    instruct = make(legacy, None, llama_decoder())
    instruct.add_special_tokens(["[INST]"])
    instruct.add_tokens([AddedToken("[/INST]", normalized=False), AddedToken("family", normalized=True)])
    yield "added", instruct
    llama3 = Tokenizer(models.BPE())
    llama3.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    llama3.train_from_iterator(CORPUS.split("\n"), trainers.BpeTrainer(
        vocab_size=300, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    state = json.loads(llama3.to_str())
    state["model"]["vocab"]["Hello"] = len(state["model"]["vocab"])
    state["model"]["vocab"]["\u0120world"] = len(state["model"]["vocab"])
    state["model"]["ignore_merges"] = True
    state["decoder"] = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    yield "llama-3", Tokenizer.from_str(json.dumps(state))


def tokenizer_cases(path, vocab, merges):
    base = None
    variants = []
    for name, tokenizer in tokenizers(vocab, merges):
        state = json.loads(tokenizer.to_str())
        base = base or state
        encoded = [tokenizer.encode(t, add_special_tokens=True).ids for t in TEXTS]
        plain = [tokenizer.encode(t, add_special_tokens=False).ids for t in TEXTS]
        prefix = [i for i in encoded[0]]
        assert all(e == prefix + p for e, p in zip(encoded, plain))
        size = tokenizer.get_vocab_size()
        torch.manual_seed(3)
        random = [torch.randint(0, size, (n,)).tolist() for n in (1, 2, 5, 9, 30)]
        bytes_ = [[state["model"]["vocab"][f"<0x{b:02X}>"] for b in text] for text in
                  ("é世".encode(), "世".encode()[:2], b"\xff\xfea", b"a\xe4\xb8b")
                  if all(f"<0x{b:02X}>" in state["model"]["vocab"] for b in text)]
        ids = random + bytes_ + [[1, 1, 2], [0], [2, *plain[6]], [*plain[16], 1, *plain[16]]]
        variant = {"name": name, "prefix": prefix, "ids": plain,
                   "decoded": [tokenizer.decode(e, skip_special_tokens=True) for e in encoded],
                   "more": [{"ids": i, "decoded": tokenizer.decode(i, skip_special_tokens=True),
                             "with_special": tokenizer.decode(i, skip_special_tokens=False)} for i in ids]}
        # Parts that are those of the first tokenizer are left out.
        variant["tokenizer"] = {k: v for k, v in state.items() if k != "model" and (v != base[k] or base is state)}
        variant["model"] = {k: v for k, v in state["model"].items() if base is state or v != base["model"].get(k)}
        variants.append(variant)
    json.dump({"texts": TEXTS, "variants": variants}, open(path, "w"), ensure_ascii=False, separators=(",", ":"))


def main():
    out = sys.argv[1]
    vocab, merges = train()
    assert len(vocab) == 384, len(vocab)
    tokenizer_cases(f"{out}/tokenizer_cases.json", vocab, merges)

    # GQA 4:1, untied, bf16, one file, with the tokenizer that transformers 5 saves for Llama and Mixtral.
    plain = fresh(f"{out}/plain")
    save(plain, torch.bfloat16, vocab_size=len(vocab), rope_theta=10000.0)
    tokenizer = LlamaTokenizerFast(vocab=vocab, merges=merges)
    tokenizer.add_bos_token = True
    tokenizer.save_pretrained(plain)
    for extra in set(os.listdir(plain)) - {"config.json", "model.safetensors", "tokenizer.json"}:
        os.remove(f"{plain}/{extra}")
    golden(plain, [tokenizer("The router chooses").input_ids, tokenizer("naïve 😀").input_ids[:12]], 24)

    # Tied embeddings, f32, heads wider than hidden / heads, a window shorter than the prompts, shards.
    window = fresh(f"{out}/window")
    save(window, torch.float32, shard_bytes="10KB", vocab_size=64, head_dim=8, sliding_window=5, tie_word_embeddings=True)
    assert len(glob.glob(f"{window}/*.safetensors")) > 2
    golden(window, [[1, 5, 9, 2, 60, 33, 17, 4, 4, 21, 8, 40], [1, 63]], 30)

    # The layout of transformers 5: gate and up of all experts in one tensor. f16; three of four experts.
    fused = fresh(f"{out}/fused")
    save(fused, torch.float16, original=False, vocab_size=64, num_experts_per_tok=3)
    golden(fused, [[1, 5, 9, 2, 60, 33], [7]], 24)


main()
