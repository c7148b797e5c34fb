// Parses JSON from gateways that build it without a JSON library, or with Python's: control
// characters inside strings, NaN and Infinity. Pure.

const noNumbers = ["NaN", "Infinity", "-Infinity"];
const quote = 0x22;
const backslash = 0x5c;
const space = 0x20;

/** Throws the error of `JSON.parse` if repair does not help. Well-formed JSON is parsed once. */
export function parseLenientJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const better = repaired(text);
    if (better === text) throw error;
    return JSON.parse(better);
  }
}

/** One pass: escapes control characters in strings, and replaces NaN and Infinity with null. */
function repaired(text: string): string {
  let better = "";
  let copied = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) inString = !inString;
    else if (inString && code === backslash) at += 1;
    else {
      const [length, replacement] = inString ? escaped(code) : nulled(text, at);
      if (length === 0) continue;
      better += text.slice(copied, at) + replacement;
      copied = at + length;
      at = copied - 1;
    }
  }
  return better + text.slice(copied);
}

function escaped(code: number): [length: number, replacement: string] {
  return code < space ? [1, `\\u${code.toString(16).padStart(4, "0")}`] : [0, ""];
}

function nulled(text: string, at: number): [length: number, replacement: string] {
  const word = noNumbers.find((each) => text.startsWith(each, at));
  return [word?.length ?? 0, "null"];
}
