// A browser's globals for React, and a hook that runs in it. Imported before anything that looks for `window`.
import { load } from "./install";

const { JSDOM } = await load("jsdom");
const { window } = new JSDOM('<div id="root"></div>', { url: "http://localhost/", pretendToBeVisual: true });
const { document, HTMLElement, Node, Element, Event, CustomEvent, MutationObserver } = window;
const globals = { window, document, HTMLElement, Node, Element, Event, CustomEvent, MutationObserver };
for (const [name, value] of Object.entries(globals))
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

const { createElement } = await load("react");
const { createRoot } = await load("react-dom/client");

/** What the hook returned last. */
export type Mounted<T> = { current(): T; unmount(): void };

/** Renders a component that calls this hook. `around` is rendered around it with what the hook returned. */
export function mountHook<T>(hook: () => T, around: (value: T) => unknown = () => null): Mounted<T> {
  let last: T | undefined;
  function Component() {
    last = hook();
    return around(last);
  }
  const root = createRoot(document.createElement("div"));
  root.render(createElement(Component));
  return {
    current: () => last as T,
    unmount: () => root.unmount(),
  };
}
