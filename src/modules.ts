import type { OutputModule } from './core/contracts.ts';
import type { Hub } from './core/hub.ts';
import type { SourceModule } from './core/source.ts';

/** The one list of sources. A new one is a folder under `src/sources` and a line here. */
export function createSources(_getHub: () => Hub, _ownRtspPorts: () => readonly number[]): readonly SourceModule[] {
  return [];
}

/** The one list of outputs. A new one is a folder under `src/outputs` and a line here. */
export const outputs: readonly OutputModule[] = [];
