import { resolveInputs } from '../config/inputs.ts';
import type { LoadedConfig } from '../config/load.ts';
import { type ConfigProblem, formatProblem, suggest } from '../config/problems.ts';
import { ConfigStore } from '../config/store.ts';
import { describeError } from '../core/errors.ts';
import { Hub } from '../core/hub.ts';
import { SecretMask } from '../core/secrets.ts';
import { createSources, outputs } from '../modules.ts';
import { quietLog } from './log.ts';
import type { Terminal } from './main.ts';
import { allSections, layoutOf, toAppConfig } from './settings.ts';

/** `hearthcam check`: prints every problem of the configuration. @returns 1 when there are errors */
export async function check(configs: readonly string[], terminal: Terminal): Promise<number> {
  const inputs = resolveInputs(configs, terminal.cwd);
  if (inputs.length === 0) {
    terminal.stderr.write('no configuration: there is neither hearthcam.yaml nor go2rtc.yaml here; name one with -c\n');
    return 1;
  }
  const mask = new SecretMask();
  const store = new ConfigStore({ inputs, sections: allSections(outputs), env: terminal.env, mask });
  const config = store.current;
  const problems: ConfigProblem[] = [...config.problems];
  for (const input of inputs) {
    if (input.kind !== 'file' || config.texts.get(input.path) !== undefined) continue;
    if (problems.some((problem) => problem.file === input.label)) continue;
    problems.push({
      severity: 'error',
      message: 'there is no such file',
      file: input.label,
      line: 0,
      column: 0,
      path: [],
    });
  }
  if (!config.fatal) {
    problems.push(...sourceProblems(store));
    try {
      toAppConfig(config, outputs, terminal.cwd);
    } catch (error) {
      problems.push({
        severity: 'error',
        message: describeError(error),
        file: 'configuration',
        line: 0,
        column: 0,
        path: [],
      });
    }
  }
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  for (const problem of problems) terminal.stdout.write(`${mask.mask(formatProblem(problem))}\n`);
  const warnings = problems.length - errors;
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
  terminal.stdout.write(
    problems.length === 0
      ? `${inputs.map((input) => input.label).join(', ')}: all right\n`
      : `${count(errors, 'error')}, ${count(warnings, 'warning')}\n`,
  );
  return errors > 0 ? 1 : 0;
}

/** What the kinds of sources say about each source: an unknown scheme, a missing host, a stream that isn't there. */
function sourceProblems(store: ConfigStore): ConfigProblem[] {
  const config = store.current;
  const problems: ConfigProblem[] = [];
  const hub: Hub = new Hub({
    log: quietLog,
    sources: createSources(
      () => hub,
      () => [],
    ),
  });
  const { streams, clashes } = layoutOf(config);
  const add = (severity: 'error' | 'warning', stream: string, message: string, near?: string): void => {
    const { file, line, column } = config.locate(streamPath(config.locate, stream));
    problems.push({
      severity,
      message,
      file,
      line,
      column,
      path: ['streams', stream],
      ...(near === undefined ? {} : { suggestion: near }),
    });
  };
  for (const { stream, camera } of clashes) {
    add('warning', stream, `stream "${stream}" is also made by camera "${camera}": the camera's is used`);
  }
  for (const [name, sources] of Object.entries(streams)) {
    for (const source of sources) {
      try {
        const spec = hub.parse(source);
        const { scheme, url } = spec;
        if (scheme === '' && !Object.hasOwn(streams, url)) {
          add('error', name, `stream "${name}": there is no stream "${url}"`, suggest(url, Object.keys(streams)));
        }
      } catch (error) {
        const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(source)?.[1];
        const near = scheme === undefined || hub.schemes.includes(scheme) ? undefined : suggest(scheme, hub.schemes);
        add('error', name, `stream "${name}": ${describeError(error)}`, near);
      }
    }
  }
  return problems;
}

/** Streams stand under `streams:` or are made by a camera. */
function streamPath(locate: LoadedConfig['locate'], name: string): readonly string[] {
  const own = ['streams', name];
  if (locate(own).depth === 2) return own;
  if (locate(['cameras', name]).depth === 2) return ['cameras', name];
  const at = name.lastIndexOf('_');
  return ['cameras', name.slice(0, at), name.slice(at + 1)];
}
