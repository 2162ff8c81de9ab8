import { resolveInputs } from '../config/inputs.ts';
import { type LoadedConfig, sortProblems } from '../config/load.ts';
import { type ConfigProblem, formatProblem, suggest } from '../config/problems.ts';
import { echoSection, execSection, ffmpegSection, ffmpegTemplates } from '../config/sections.ts';
import { ConfigStore } from '../config/store.ts';
import { describeError } from '../core/errors.ts';
import { Hub } from '../core/hub.ts';
import { inputStreams } from '../core/own-streams.ts';
import { SecretMask } from '../core/secrets.ts';
import { createSources, outputs } from '../modules.ts';
import { crossProblems } from './cross-checks.ts';
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
  const sections = allSections(outputs);
  const store = new ConfigStore({ inputs, sections, env: terminal.env, mask });
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
    problems.push(...crossProblems(config, sections), ...sourceProblems(store));
    try {
      toAppConfig(config, outputs, terminal.cwd);
    } catch (error) {
      const message = describeError(error);
      const key = /^api\.(tls_\w+)/.exec(message)?.[1];
      const path = key === undefined ? [] : ['api', key];
      const { file, line, column } = config.locate(path);
      problems.push({ severity: 'error', message, file, line, column, path });
    }
  }
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  for (const problem of sortProblems(problems)) terminal.stdout.write(`${mask.mask(formatProblem(problem))}\n`);
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
      {
        environment: {},
        allowed: { exec: config.get(execSection).allow_paths, echo: config.get(echoSection).allow_paths },
      },
      { ffmpegTemplates: ffmpegTemplates(config.get(ffmpegSection)) },
    ),
  });
  const { streams } = layoutOf(config);
  const add = (stream: string, message: string, near?: string): void => {
    const path = streamPath(config.locate, stream);
    const { file, line, column } = config.locate(path);
    const suggestion = near === undefined ? {} : { suggestion: near };
    problems.push({
      severity: 'error',
      message: `stream "${stream}": ${message}`,
      file,
      line,
      column,
      path,
      ...suggestion,
    });
  };
  for (const [name, sources] of Object.entries(streams)) {
    for (const source of sources) {
      try {
        const spec = hub.parse(source);
        for (const input of inputStreams(spec, hub, [])) {
          if (!Object.hasOwn(streams, input)) {
            const near = suggest(input, Object.keys(streams));
            add(name, `there is no stream "${input}"${near === undefined ? ADDRESS_HINT : ''}`, near);
          } else if (spec.scheme === '' && circle(streams, name)) {
            add(name, 'it is fed by itself: give one of the streams in the circle a camera as its source');
          }
        }
      } catch (error) {
        const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(source)?.[1];
        if (scheme !== undefined && OTHER_SCHEMES.has(scheme.toLowerCase())) {
          add(name, `sources of the kind "${scheme}:" are not supported yet`);
          continue;
        }
        const near = scheme === undefined || hub.schemes.includes(scheme) ? undefined : suggest(scheme, hub.schemes);
        add(name, describeError(error).replace(/^streams: /, ''), near);
      }
    }
  }
  return problems;
}

/** Kinds of sources that go2rtc has besides ours (compatibility.md 3): no misspellings. */
const OTHER_SCHEMES: ReadonlySet<string> = new Set(
  (
    'alsa bubble doorbird dvrip eseecloud flussonic gopro hass homekit isapi ivideon kasa multitrans nest ' +
    'onvif ring roborock rtmp rtmps rtmpx tapo tcp tuya v4l2 vigi webrtc webtorrent wyoming wyze xiaomi yandex'
  ).split(' '),
);

const ADDRESS_HINT = ' (the address of a camera begins with rtsp:// or http://)';

/** Whether a stream leads back to itself by way of streams whose sources are other streams. */
function circle(streams: Readonly<Record<string, readonly string[]>>, start: string): boolean {
  const seen = new Set<string>();
  const open = [...(streams[start] ?? [])];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (name === start) return true;
    if (seen.has(name) || !Object.hasOwn(streams, name)) continue;
    seen.add(name);
    open.push(...(streams[name] ?? []));
  }
  return false;
}

/** Streams stand under `streams:` or are made by a camera. */
function streamPath(locate: LoadedConfig['locate'], name: string): readonly string[] {
  const own = ['streams', name];
  if (locate(own).depth === 2) return own;
  if (locate(['cameras', name]).depth === 2) return ['cameras', name];
  const at = name.lastIndexOf('_');
  return ['cameras', name.slice(0, at), name.slice(at + 1)];
}
