// Objects that exist once per process. Next bundles each route separately, so a module-level
// variable would exist once per bundle; these live on globalThis instead. The only file that db
// imports from another module, so it imports nothing.

const key = Symbol.for("rivulet.singletons");
const shared = globalThis as { [key]?: Map<string, object> };
shared[key] ??= new Map();

/** By name. Only tests use it directly, to replace or inspect another module's singleton. */
export const processSingletons = shared[key];

/**
 * Declares a singleton and returns its accessor. The first call in the process creates the object;
 * if `create` throws, the next call tries again. Names are unique.
 */
export function processSingleton<T extends object>(name: string, create: () => T): () => T {
  return () => {
    let singleton = processSingletons.get(name) as T | undefined;
    if (!singleton) {
      singleton = create();
      processSingletons.set(name, singleton);
    }
    return singleton;
  };
}
