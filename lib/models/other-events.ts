// The stream of an API whose imitators are not known: its events pass as they are. Pure.
import type { EventReader, Item, ProviderEvent } from "./answer-events";

export class OtherEvents implements EventReader {
  readonly settled = false;
  readonly graceMs = 0;
  readonly thinking = false;

  read({ name, data }: ProviderEvent): Item[] {
    const lines = data.split("\n").map((line) => `data: ${line}\n`);
    return [{ type: "frame", frame: `${name === undefined ? "" : `event: ${name}\n`}${lines.join("")}\n` }];
  }

  finish(): Item[] {
    return [];
  }

  readWhole(): null {
    return null;
  }
}
