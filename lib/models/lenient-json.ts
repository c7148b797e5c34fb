// JSON as gateways write it that do not use a JSON library, or use Python's: control characters inside strings, NaN and Infinity. Pure.

/** A string, or what JSON has no number for. */
const stringOrNoNumber = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/gs;
// biome-ignore lint/suspicious/noControlCharactersInRegex: These are what is looked for.
const controls = /[\0-\x1f]/g;

/** Throws what `JSON.parse` throws when no repair helps. Well-formed JSON is parsed once. */
export function parseLenientJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const repaired = text.replace(stringOrNoNumber, (found) =>
      found.startsWith('"') ? found.replace(controls, escaped) : "null",
    );
    if (repaired === text) throw error;
    return JSON.parse(repaired);
  }
}

function escaped(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
