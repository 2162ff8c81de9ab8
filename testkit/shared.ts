import { fileURLToPath } from 'node:url';

/** A file of the test material beside the repository. */
export function shared(path: string): string {
  return fileURLToPath(new URL(`../../shared/${path}`, import.meta.url));
}
