import { z } from 'zod';
import type { LoadedConfig } from '../config/load.ts';
import { type ConfigProblem, suggest } from '../config/problems.ts';
import type { ConfigSection } from '../config/section.ts';
import { apiSection, preloadSection } from '../config/sections.ts';
import { describeError } from '../core/errors.ts';
import { parseListen } from '../http/server.ts';
import { layoutOf } from './settings.ts';

/** What is wrong only when several parts of the configuration are looked at together, and addresses to listen on. */
export function crossProblems(config: LoadedConfig, sections: readonly ConfigSection[]): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (severity: ConfigProblem['severity'], path: readonly string[], message: string, near?: string): void => {
    const { file, line, column } = config.locate(path, path[0] === 'preload');
    problems.push({ severity, message, file, line, column, path, ...(near === undefined ? {} : { suggestion: near }) });
  };
  const { streams, clashes } = layoutOf(config);
  for (const { stream, camera } of clashes) {
    add('warning', ['streams', stream], `stream "${stream}" is also made by camera "${camera}": the camera's is used`);
  }
  for (const name of Object.keys(config.get(preloadSection))) {
    if (Object.hasOwn(streams, name)) continue;
    add('warning', ['preload', name], `preload: there is no stream "${name}"`, suggest(name, Object.keys(streams)));
  }
  const { tls_listen, tls_cert, tls_key } = config.get(apiSection);
  if (tls_listen !== '' && (tls_cert === '' || tls_key === '')) {
    add('warning', ['api', 'tls_listen'], 'HTTPS stays off: api.tls_listen needs api.tls_cert and api.tls_key');
  }
  for (const [path, text] of listenAddresses(config, sections)) {
    if (text === '') continue;
    try {
      parseListen(path[0] === 'webrtc' ? text.replace(/\/(tcp|udp)$/, '') : text);
    } catch (error) {
      add('error', path, `${path.join('.')}: ${describeError(error)}`);
    }
  }
  return problems;
}

const listenShape = z.object({ listen: z.string().default('') });

/** The addresses of all sections that listen, whichever module a section belongs to. */
function listenAddresses(
  config: LoadedConfig,
  sections: readonly ConfigSection[],
): readonly (readonly [readonly string[], string])[] {
  const found = sections
    .filter(({ key }) => key === 'api' || key === 'rtsp' || key === 'webrtc')
    .map((section) => [[section.key, 'listen'], listenShape.parse(config.get(section)).listen] as const);
  return [...found, [['api', 'tls_listen'], config.get(apiSection).tls_listen]];
}

const USUAL_PORTS = { api: 1984, rtsp: 8554, webrtc: 8555 } as const;

/**
 * What to write so that others get in, where the file says nothing about it: go2rtc listens for everybody then, so
 * that its files often don't. Undefined when every address is named.
 */
export function unsaidListeners(config: LoadedConfig): string | undefined {
  const unsaid = Object.entries(USUAL_PORTS).filter(([section]) => config.locate([section, 'listen']).depth < 2);
  if (unsaid.length === 0) return undefined;
  const names = unsaid.map(([section]) => section).join(', ');
  const keys = unsaid.map(([section, port]) => `${section}: {listen: ":${port}"}`).join(', ');
  return `${names}: only for programs on this machine, as no address is named; to let others in write ${keys}`;
}
