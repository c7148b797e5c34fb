// Limits the nesting of external JSON. Everything that walks the parsed value (schemas,
// `JSON.stringify`) recurses: a few kilobytes of `[[[[` would overflow the stack.

/** Twice what tool schemas and stock clients' histories were seen to need. */
export const maxJsonDepth = 100;

/**
 * True if arrays and objects nest deeper than that. One pass, before parsing; the text need not be
 * valid JSON.
 */
export function isTooDeep(json: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case 0x22: // "
        inString = !inString;
        break;
      case 0x5c: // \
        if (inString) at += 1;
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (!inString) depth += 1;
        if (depth > maxJsonDepth) return true;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        if (!inString) depth -= 1;
    }
  }
  return false;
}
