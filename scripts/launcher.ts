/** First file of the bundle: lets V8 keep the compiled program between starts, then runs it. */
import module from 'node:module';
import { fileURLToPath } from 'node:url';

// Beside the program where that folder is writable, else (container, read-only file system) it has no effect.
module.enableCompileCache(fileURLToPath(new URL('./cache', import.meta.url)));
const program = './program.js';
await import(program);
// The server runs until it is killed: what was compiled is kept soon after the start instead of at the end.
setTimeout(() => module.flushCompileCache(), 3_000).unref();
