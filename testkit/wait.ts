/**
 * Waits until `condition` gives something true, looking every few milliseconds, and returns it. For tests: a wait on a
 * condition is quick on a fast machine and patient on a busy one.
 * @throws Error that names `what` when it is not met within `timeoutMs` (default 10 s).
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: { readonly timeoutMs?: number; readonly everyMs?: number; readonly what?: string } = {},
): Promise<NonNullable<Exclude<T, false | 0 | ''>>> {
  const { timeoutMs = 10_000, everyMs = 5, what = 'the condition' } = options;
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    // Checked border: truthiness is just what the type in the return value says.
    if (value) return value as NonNullable<Exclude<T, false | 0 | ''>>;
    if (performance.now() > endMs) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
