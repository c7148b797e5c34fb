// The answers of the bench's provider, as its checkers expect them. Every token contains one `~`,
// which occurs nowhere else on the wire: counting it counts tokens, whatever their framing.
export const mark = "~".charCodeAt(0);

/** An answer repeats 97 different tokens. */
export function token(index: number): string {
  return ` ~word${index % 97}`;
}

export function answerOf(tokens: number): string {
  return Array.from({ length: tokens }, (_, index) => token(index)).join("");
}
