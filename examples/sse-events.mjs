// Server-Sent Events from a fetch body, in browsers and in Node.js. Bytes may be split anywhere,
// lines may end in LF, CRLF or CR; comments are skipped, and an incomplete event is not delivered.

/**
 * Three of the server's heartbeats: a connection silent for this long is dead, and ends like a
 * closed one.
 */
const silenceMs = 45_000;

/** Yields `{ event, data, id }`. Throws when the connection breaks; ends when it is closed. */
export async function* sseEvents(body) {
  const reader = body.getReader();
  // Buffers the first bytes of a character until the rest arrives.
  const decoder = new TextDecoder();
  let line = "";
  let endedInCr = false;
  let fields = { event: "message", data: [] };
  let id = "";
  try {
    for (;;) {
      const { done, value } = await readOrGiveUp(reader);
      if (done) return;
      let text = decoder.decode(value, { stream: true });
      if (text === "") continue;
      if (endedInCr && text.startsWith("\n")) text = text.slice(1);
      endedInCr = text.endsWith("\r");
      const lines = (line + text).split(/\r\n|\r|\n/);
      line = lines.pop();
      for (const complete of lines) {
        if (complete === "") {
          if (fields.data.length > 0) yield { event: fields.event, data: fields.data.join("\n"), id };
          fields = { event: "message", data: [] };
          continue;
        }
        const [, name, content] = /^([^:]*):? ?(.*)$/s.exec(complete);
        if (name === "data") fields.data.push(content);
        else if (name === "event") fields.event = content;
        else if (name === "id") id = content;
      }
    }
  } finally {
    // Not awaited: a dead connection does not answer. Rejects with the error already thrown.
    reader.cancel().catch(() => {});
  }
}

async function readOrGiveUp(reader) {
  let timer;
  const silence = new Promise((resolve) => {
    timer = setTimeout(() => resolve({ done: true }), silenceMs);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}
