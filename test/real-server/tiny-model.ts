// A model for llama.cpp of a few hundred kilobytes, without trained weights: attention and
// feed-forward are zero, so the next token follows from the last one alone. Each word is a token,
// and the output layer maps each word to the next. Its text makes no sense; what is tested is how a
// server delivers it.
import { writeFileSync } from "node:fs";

export type TinyModel = {
  words: string[];
  /** Starts over after the last word; otherwise the answer ends there. */
  endless?: boolean;
};

/** Makes random sign vectors nearly orthogonal, so that each token has one clear successor. */
const width = 64;
const contextLength = 8_192;
/** GGUF token types: a word, a special token, a byte. */
const kinds = { normal: 1, unknown: 2, control: 3, byte: 6 };

/** Writes the model as GGUF, version 3. */
export function writeTinyModel(file: string, { words, endless = false }: TinyModel): void {
  const vocabulary: { text: string; kind: number }[] = [
    { text: "<unk>", kind: kinds.unknown },
    { text: "<s>", kind: kinds.control },
    { text: "</s>", kind: kinds.control },
    { text: "<|system|>", kind: kinds.control },
    { text: "<|user|>", kind: kinds.control },
    { text: "<|assistant|>", kind: kinds.control },
    { text: "<|end|>", kind: kinds.control },
    ...Array.from({ length: 256 }, (_, byte) => ({
      text: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
      kind: kinds.byte,
    })),
    ...words.map((word) => ({ text: word.replaceAll(" ", "▁"), kind: kinds.normal })),
  ];
  const end = 2;
  const begin = 5;
  const first = vocabulary.length - words.length;
  const successors = vocabulary.map((_, token) => {
    if (token === begin) return first;
    if (token < first) return end;
    return token + 1 < vocabulary.length ? token + 1 : endless ? first : end;
  });

  const embedding = randomSigns(vocabulary.length * width);
  const output = new Float32Array(vocabulary.length * width);
  for (const [token, successor] of successors.entries())
    for (let at = 0; at < width; at++) {
      // The many tokens that lead to the end must not drown each other out.
      const share = successor === end && token < first ? 1 / 16 : 1;
      output[successor * width + at] =
        (output[successor * width + at] ?? 0) + share * (embedding[token * width + at] ?? 0);
    }
  const ones = new Float32Array(width).fill(1);
  const square = new Float32Array(width * width);
  writeGguf(
    file,
    [
      ["general.architecture", "llama"],
      ["general.name", "tiny"],
      ["llama.context_length", contextLength],
      ["llama.embedding_length", width],
      ["llama.block_count", 1],
      ["llama.feed_forward_length", width],
      ["llama.attention.head_count", 2],
      ["llama.attention.head_count_kv", 2],
      ["llama.attention.layer_norm_rms_epsilon", { float: 1e-5 }],
      ["llama.rope.dimension_count", width / 2],
      ["llama.vocab_size", vocabulary.length],
      ["tokenizer.ggml.model", "llama"],
      ["tokenizer.ggml.tokens", vocabulary.map(({ text }) => text)],
      ["tokenizer.ggml.scores", { floats: vocabulary.map((_, token) => -token) }],
      ["tokenizer.ggml.token_type", { ints: vocabulary.map(({ kind }) => kind) }],
      ["tokenizer.ggml.bos_token_id", 1],
      ["tokenizer.ggml.eos_token_id", end],
      ["tokenizer.ggml.unknown_token_id", 0],
      ["tokenizer.ggml.add_bos_token", true],
      ["tokenizer.ggml.add_space_prefix", false],
      ["tokenizer.chat_template", chatTemplate],
    ],
    [
      ["token_embd.weight", [width, vocabulary.length], embedding],
      ["output.weight", [width, vocabulary.length], output],
      ["output_norm.weight", [width], ones],
      ["blk.0.attn_norm.weight", [width], ones],
      ["blk.0.ffn_norm.weight", [width], ones],
      ...["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"].map(
        (name): Tensor => [`blk.0.${name}.weight`, [width, width], square],
      ),
    ],
  );
}

const chatTemplate =
  "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}" +
  "{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** The same in every run. */
function randomSigns(length: number): Float32Array {
  let state = 12_345;
  return Float32Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state < 2 ** 30 ? -1 : 1;
  });
}

type Value = string | number | boolean | string[] | { float: number } | { floats: number[] } | { ints: number[] };
type Tensor = [name: string, dimensions: number[], data: Float32Array];

/** Tensors start at multiples of this. */
const alignment = 32;

/** Value types of the format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
const types = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };

function writeGguf(file: string, metadata: [key: string, value: Value][], tensors: Tensor[]): void {
  const pieces: Buffer[] = [];
  const number = (size: 4 | 8, write: (buffer: Buffer) => void) => {
    const buffer = Buffer.alloc(size);
    write(buffer);
    pieces.push(buffer);
  };
  const u32 = (value: number) => number(4, (to) => to.writeUInt32LE(value));
  const i32 = (value: number) => number(4, (to) => to.writeInt32LE(value));
  const f32 = (value: number) => number(4, (to) => to.writeFloatLE(value));
  const u64 = (value: number) => number(8, (to) => to.writeBigUInt64LE(BigInt(value)));
  const text = (value: string) => {
    const bytes = Buffer.from(value);
    u64(bytes.length);
    pieces.push(bytes);
  };
  const list = <T>(type: number, values: T[], write: (value: T) => void) => {
    u32(types.array);
    u32(type);
    u64(values.length);
    for (const value of values) write(value);
  };
  const pad = (length: number) => pieces.push(Buffer.alloc((alignment - (length % alignment)) % alignment));

  pieces.push(Buffer.from("GGUF"));
  u32(3);
  u64(tensors.length);
  u64(metadata.length);
  for (const [key, value] of metadata) {
    text(key);
    if (typeof value === "string") {
      u32(types.string);
      text(value);
    } else if (typeof value === "number") {
      u32(types.u32);
      u32(value);
    } else if (typeof value === "boolean") {
      u32(types.bool);
      pieces.push(Buffer.from([value ? 1 : 0]));
    } else if (Array.isArray(value)) list(types.string, value, text);
    else if ("floats" in value) list(types.f32, value.floats, f32);
    else if ("ints" in value) list(types.i32, value.ints, i32);
    else {
      u32(types.f32);
      f32(value.float);
    }
  }
  let offset = 0;
  for (const [name, dimensions, { byteLength }] of tensors) {
    text(name);
    u32(dimensions.length);
    for (const dimension of dimensions) u64(dimension);
    // 32-bit floats.
    u32(0);
    u64(offset);
    offset += Math.ceil(byteLength / alignment) * alignment;
  }
  pad(pieces.reduce((length, piece) => length + piece.length, 0));
  for (const [, , { buffer, byteLength }] of tensors) {
    pieces.push(Buffer.from(buffer));
    pad(byteLength);
  }
  writeFileSync(file, Buffer.concat(pieces));
}
