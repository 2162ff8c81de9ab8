import { HearthcamError } from '../core/errors.ts';
import { namesProgram } from '../core/source-policy.ts';
import type { LoadedConfig } from './load.ts';
import { camerasSection, echoSection, execSection, streamsSection } from './sections.ts';
import { layOut } from './streams.ts';

/**
 * Refuses a configuration that came over HTTP and would run programs which the file does not name yet: those that stand
 * there may stay, go, or move to another stream. Values are compared after references (`${NAME}`) are filled in.
 * @throws HearthcamError 403
 */
export function refuseNewPrograms(before: LoadedConfig, after: LoadedConfig): void {
  const known = new Set(programSources(before));
  const added = programSources(after).find((source) => !known.has(source));
  if (added !== undefined) throw refusal(`the source "${added.slice(0, 60)}" runs a program`);
  for (const section of [execSection, echoSection]) {
    const list = before.get(section).allow_paths;
    const wanted = after.get(section).allow_paths;
    // Absent allows all. Fewer programs are no danger.
    if (list === undefined || wanted?.every((program) => list.includes(program)) === true) continue;
    throw refusal(`${section.key}.allow_paths would allow more programs`);
  }
}

function programSources(config: LoadedConfig): readonly string[] {
  const { streams } = layOut(config.get(streamsSection), config.get(camerasSection));
  return Object.values(streams).flat().filter(namesProgram);
}

function refusal(what: string): HearthcamError {
  return new HearthcamError('config.programs', `${what}: that can't be set over HTTP`, {
    status: 403,
    hint: 'write it into the configuration file on the server itself',
  });
}
