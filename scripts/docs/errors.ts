import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ErrorSite, errorSites } from './error-sites.ts';
import { table } from './table.ts';

const SOURCES = fileURLToPath(new URL('../../src', import.meta.url));

/** `docs/errors.md`: every error code with its message, HTTP status and hint, read from where it is made. */
export function errorsPage(): string {
  const sites = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
    .sort()
    .flatMap((path) => errorSites(path, readFileSync(join(SOURCES, path), 'utf8')));
  const of = (wire: boolean): readonly (readonly [string, readonly ErrorSite[]])[] =>
    [...Map.groupBy(sites, (site) => site.code)]
      .filter(([, all]) => all.every((site) => site.wire) === wire)
      .sort(([one], [other]) => (one < other ? -1 : 1));
  return `# Errors

<!-- Written by scripts/docs.ts from the code: don't edit. -->

Every error has a code. Message and cure are shown where the error ends: in the log, in the answer to a request, in the player; log lines about repeated trouble give the code too. \`‹…›\` stands for what depends on the case.

## What can go wrong

The status is that of the answer by HTTP or RTSP: 500 where none fits better, 499 when the client has left.

${table(
  ['Code', 'Status', 'Message', 'Cure'],
  of(false).map(([code, all]) => [
    `\`${code}\``,
    lines(all, 'statuses', ', '),
    lines(all, 'messages'),
    lines(all, 'hints'),
  ]),
)}
## Bytes that are not what their format says

Sent by a camera or a client. What can be left out is left out and counted; else the connection is made again. A camera that goes on like this may be helped by new firmware, or by another codec or protocol in its settings. The status is 400.

${table(
  ['Code', 'Message', 'Cure'],
  of(true).map(([code, all]) => [`\`${code}\``, lines(all, 'messages'), lines(all, 'hints')]),
)}`;
}

function lines(sites: readonly ErrorSite[], part: 'statuses' | 'messages' | 'hints', between = '<br>'): string {
  return [...new Set(sites.flatMap((site) => site[part]))].map(literal).join(between);
}

/** As text of a Markdown table. */
function literal(text: string): string {
  return text.replaceAll('<', '&lt;').replaceAll('*', '\\*').replaceAll('_', '\\_');
}
