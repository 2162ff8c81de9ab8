import { readFileSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import type { AppConfig } from '../app.ts';
import type { LoadedConfig } from '../config/load.ts';
import { unreadable } from '../config/references.ts';
import { type ConfigSection, composeSections } from '../config/section.ts';
import {
  apiSection,
  camerasSection,
  coreSections,
  echoSection,
  execSection,
  ffmpegSection,
  ffmpegTemplates,
  laterSections,
  logSection,
  preloadSection,
  restreamSection,
  streamsSection,
  transcodeSection,
} from '../config/sections.ts';
import { type CameraLayout, layOut } from '../config/streams.ts';
import type { OutputModule } from '../core/contracts.ts';
import { HearthcamError } from '../core/errors.ts';
import type { LogLevel } from '../core/log.ts';
import { DEFAULT_TRANSCODE, type TranscodeSettings } from '../transcode/settings.ts';
import { checkCertificate } from './certificate.ts';

/** Every section of the file: the program's, the modules', and those of go2rtc that nobody handles yet. */
export function allSections(modules: readonly OutputModule[]): readonly ConfigSection[] {
  const own = modules.flatMap((module) => (module.config === undefined ? [] : [module.config]));
  const keys = new Set(own.map((section) => section.key));
  return composeSections([...coreSections.filter((section) => !keys.has(section.key)), ...own], laterSections);
}

/** What the composition root wants, from what the owner wrote. @throws HearthcamError when a named file is missing. */
export function toAppConfig(config: LoadedConfig, modules: readonly OutputModule[], cwd: string): AppConfig {
  const api = config.get(apiSection);
  const { streams, cameras, renditions, modes } = layoutOf(config);
  const preload = Object.fromEntries(
    Object.entries(config.get(preloadSection)).map(([name, query]) => [name, query ?? 'video&audio']),
  );
  const sections: Record<string, unknown> = {};
  for (const module of modules) {
    if (module.config !== undefined) sections[module.config.key] = config.get(module.config);
  }
  // Without both there is nothing to encrypt with; that is told as a problem of the configuration.
  const hasTls = api.tls_listen !== '' && api.tls_cert !== '' && api.tls_key !== '';
  const tlsCert = hasTls ? pem(api.tls_cert, 'api.tls_cert', cwd) : '';
  const tlsKey = hasTls ? pem(api.tls_key, 'api.tls_key', cwd) : '';
  if (hasTls) checkCertificate(tlsCert, tlsKey);
  return {
    api: {
      listen: api.listen,
      username: api.username,
      password: api.password,
      localAuth: api.local_auth,
      basePath: basePath(api.base_path),
      origin: api.origin,
      tlsListen: hasTls ? api.tls_listen : '',
      tlsCert,
      tlsKey,
      unixListen: api.unix_listen,
      allowPaths: api.allow_paths,
      hosts: api.hosts.map((host) => host.toLowerCase()),
    },
    streams,
    cameras,
    renditions,
    transcode: transcodeSettings(config, modes),
    preload,
    programs: { exec: config.get(execSection).allow_paths, echo: config.get(echoSection).allow_paths },
    ffmpeg: ffmpegTemplates(config.get(ffmpegSection)),
    sections,
  };
}

function transcodeSettings(config: LoadedConfig, modes: CameraLayout['modes']): TranscodeSettings {
  const section = config.get(transcodeSection);
  const { mode, max_encodes, hardware } =
    typeof section === 'string' ? { mode: section, max_encodes: undefined, hardware: undefined } : section;
  return {
    mode,
    streams: new Map(Object.entries(modes)),
    maxEncodes: max_encodes ?? DEFAULT_TRANSCODE.maxEncodes,
    hardware: hardware ?? DEFAULT_TRANSCODE.hardware,
  };
}

export function layoutOf(config: LoadedConfig): CameraLayout {
  return layOut(config.get(streamsSection), config.get(camerasSection));
}

export interface LogSettings {
  readonly level: LogLevel;
  readonly moduleLevels: Readonly<Record<string, LogLevel>>;
  readonly format: 'text' | 'color' | 'json';
  /** `stdout`, `stderr`, `file:<path>`, or '' for nothing. */
  readonly output: string;
}

export function logSettings(config: LoadedConfig, isTerminal: boolean): LogSettings {
  const { level, format, output, time: _time, ...modules } = config.get(logSection);
  const moduleLevels = Object.fromEntries(Object.entries(modules).map(([name, one]) => [name, logLevel(one)]));
  return {
    level: logLevel(level),
    moduleLevels,
    format: format === '' ? (isTerminal && output !== '' && !output.startsWith('file') ? 'color' : 'text') : format,
    output,
  };
}

export function restreamSettings(config: LoadedConfig) {
  const section = config.get(restreamSection);
  return {
    lingerMs: section.linger_seconds * 1000,
    maxGopBytes: section.start_buffer_mib * 1024 * 1024,
    timing: { stallMs: section.stall_seconds * 1000, connectMs: section.connect_seconds * 1000 },
  };
}

/** go2rtc's three highest words mean that nearly nothing is written. */
function logLevel(word: string): LogLevel {
  switch (word) {
    case 'trace':
    case 'debug':
    case 'info':
    case 'warn':
      return word;
    default:
      return 'error';
  }
}

function basePath(text: string): string {
  const trimmed = text.replace(/\/+$/, '');
  return trimmed === '' || trimmed.startsWith('/') ? trimmed : `/${trimmed}`;
}

/** A certificate or key may be given as text or as a file. */
function pem(value: string, key: string, cwd: string): string {
  if (value === '' || value.includes('-----BEGIN')) return value;
  const path = isAbsolute(value) ? value : resolve(cwd, value);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new HearthcamError('config.file', `${key}: ${unreadable(path, error)}`, { status: 400 });
  }
}
