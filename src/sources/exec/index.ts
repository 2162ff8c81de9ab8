import type { Hub } from '../../core/hub.ts';
import type { SourceModule } from '../../core/source.ts';
import { createEchoSource } from './echo.ts';
import { createExecSource } from './exec.ts';
import { ProgramHost, type ProgramSettings } from './program-host.ts';

export type { ProgramSettings } from './program-host.ts';

/** `exec:` and `echo:`. `modules` gives all sources that an address may be handed to. */
export function createProgramSources(
  settings: ProgramSettings,
  getHub: () => Hub,
  modules: () => readonly SourceModule[],
): readonly SourceModule[] {
  const host = new ProgramHost(settings);
  return [createExecSource(host, getHub), createEchoSource(host, modules)];
}
