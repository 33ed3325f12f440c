"""A model that says what it is told to: a Hugging Face folder whose forward pass maps the last token to the next one.

The shape is Gemma 4's with one layer. Each token of the script has a direction of its own in the residual stream; attention adds nothing, the MLP turns a token's
direction into its successor's, and the norm behind the MLP makes that one far larger than what was there. So at any usual temperature the script comes out exactly.

Only the last token counts, so a token has one successor. Texts are therefore said in pieces of which none comes twice; the vocabulary is the tests' own with these
pieces added. They have no merges: what is typed or rendered is encoded as without them.
"""
import array
import json

import safetensors
from program import ROOT

VOCABULARY = ROOT / "tests/text/data/tiny_tokenizer.json"
# What prompts end in, in the canonical format of large models: thinking off, on, and behind the result of a tool.
ANSWER, THINKING, AFTER_RESULT = "<channel|>", "\n", "<tool_response|>"
END, HAND_OVER = "<turn|>", "<|tool_response>"   # the model's stops
PIECE = 5        # characters, or more where so many were said before
LARGE = 64.0


class Script:
    def __init__(self):
        self.tokenizer = json.loads(VOCABULARY.read_text(encoding="utf-8"))
        self.ids = self.tokenizer["model"]["vocab"]   # grows
        self.special = [token["content"] for token in self.tokenizer["added_tokens"]]
        self.next = {}   # id -> id

    def say(self, after, text, again=False):
        """Behind the token `after`, or its id, comes the text, which may hold control tokens. again: and then the text once more, for ever. Returns its ids."""
        ids = self._pieces(text)
        for token, successor in zip([self.ids.get(after, after), *ids], ids + ids[:1] if again else ids):
            if self.next.setdefault(token, successor) != successor:
                raise ValueError(f"token {token} has two successors")
        return ids

    def _pieces(self, text):
        ids, begin = [], 0
        while begin < len(text):
            token = next((token for token in self.special if text.startswith(token, begin)), None)
            if token is None:
                border = min((at for at in (text.find(token, begin) for token in self.special) if at >= 0), default=len(text))
                end = begin + PIECE if border - begin >= 2 * PIECE else border
                while text[begin:end].replace(" ", "\u2581") in self.ids and end < border:
                    end += 1
                token = text[begin:end].replace(" ", "\u2581")
                if token in self.ids:
                    raise ValueError(f"{text[begin:end]!r} was said before: change the text")
                self.ids[token] = len(self.ids)
            ids.append(self.ids[token])
            begin += len(token)
        return ids

    def write(self, folder):
        """The model, as a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(self.tokenizer), encoding="utf-8")
        used = sorted(set(self.next) | set(self.next.values()) | {self.ids[END]})
        direction = {id_: number for number, id_ in enumerate(used)}
        other = len(used)   # of all other tokens: the model ends
        width = (other + 64) // 64 * 64
        head = 32
        config = {
            "model_type": "gemma4_text", "architectures": ["Gemma4ForCausalLM"], "vocab_size": len(self.ids), "hidden_size": width, "intermediate_size": width,
            "num_hidden_layers": 1, "layer_types": ["full_attention"], "sliding_window": 512, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": head,
            "global_head_dim": head, "attention_k_eq_v": False, "hidden_size_per_layer_input": 0, "enable_moe_block": False, "num_kv_shared_layers": 0,
            "hidden_activation": "gelu_pytorch_tanh", "final_logit_softcapping": 30.0, "rms_norm_eps": 1e-6, "max_position_embeddings": 8192,
            "tie_word_embeddings": True, "eos_token_id": 1,
        }
        (folder / "config.json").write_text(json.dumps(config))
        stops = [self.ids[token] for token in ("<eos>", END, HAND_OVER)]
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stops, "temperature": 1.0, "top_k": 64, "top_p": 0.95}))

        def matrix(rows, columns, ones=()):
            values = array.array("f", bytes(4 * rows * columns))
            for row, column in ones:
                values[row * columns + column] = 1.0
            return [rows, columns], values

        def vector(size, value):
            return [size], array.array("f", [value] * size)

        identity = [(i, i) for i in range(width)]
        successors = [(direction[after], direction[before]) for before, after in self.next.items()] + [(direction[self.ids[END]], other)]
        layer = {
            "input_layernorm.weight": vector(width, 1), "post_attention_layernorm.weight": vector(width, 1),
            "pre_feedforward_layernorm.weight": vector(width, 1), "post_feedforward_layernorm.weight": vector(width, LARGE), "layer_scalar": vector(1, 1),
            "self_attn.q_proj.weight": matrix(head, width), "self_attn.k_proj.weight": matrix(head, width), "self_attn.v_proj.weight": matrix(head, width),
            "self_attn.o_proj.weight": matrix(width, head), "self_attn.q_norm.weight": vector(head, 1), "self_attn.k_norm.weight": vector(head, 1),
            "mlp.gate_proj.weight": matrix(width, width, identity), "mlp.up_proj.weight": matrix(width, width, identity),
            "mlp.down_proj.weight": matrix(width, width, successors),
        }
        tensors = {f"model.layers.0.{name}": tensor for name, tensor in layer.items()}
        tensors["model.embed_tokens.weight"] = matrix(len(self.ids), width, [(id_, direction.get(id_, other)) for id_ in range(len(self.ids))])
        tensors["model.norm.weight"] = vector(width, LARGE)
        safetensors.write(folder / "model.safetensors", tensors)
        return folder
