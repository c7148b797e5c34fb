// What the provider of the bench says, known to those who check it. Every token holds one `~`, a character that nothing
// else on the wire holds: counting it counts the tokens in the text, however they were joined or framed.
export const mark = "~".charCodeAt(0);

/** The 97 different tokens of an answer, over and over. */
export function token(index: number): string {
  return ` ~word${index % 97}`;
}

export function answerOf(tokens: number): string {
  return Array.from({ length: tokens }, (_, index) => token(index)).join("");
}
