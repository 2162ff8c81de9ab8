import { type ConfigMap, isConfigMap } from './document.ts';

/** Later wins; maps merge, lists and scalars replace; an empty map key (`streams:`) removes nothing. */
export function mergeMaps(base: ConfigMap, over: ConfigMap): ConfigMap {
  const out: ConfigMap = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = Object.hasOwn(out, key) ? out[key] : undefined;
    if (value === null && isConfigMap(old)) continue;
    setOwn(out, key, isConfigMap(value) && isConfigMap(old) ? mergeMaps(old, value) : value);
  }
  return out;
}

/** Assigns without touching the prototype: a key of a file may be called `__proto__`. */
export function setOwn(target: ConfigMap, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}
