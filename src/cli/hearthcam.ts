/** The program's entry when it runs from its sources; `scripts/build.ts` bundles it for `dist/`. */
import { main } from './main.ts';

const code = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
});
if (code !== undefined) process.exitCode = code;
