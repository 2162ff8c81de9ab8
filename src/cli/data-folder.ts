import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { LoadedConfig } from '../config/load.ts';
import { dataSection, modelsSection } from '../config/sections.ts';
import type { Terminal } from './main.ts';

/**
 * Where what must outlive the program is kept: as configured, else what systemd made for this service
 * (systemd.exec(5), `StateDirectory=`), else beside the configuration file; null where there is no file.
 */
export function dataFolder(
  config: LoadedConfig,
  { cwd, env }: Pick<Terminal, 'cwd' | 'env'>,
  configPath: string | undefined,
): string | null {
  const { dir } = config.get(dataSection);
  if (dir !== '') return resolve(cwd, dir);
  const [state] = (env['STATE_DIRECTORY'] ?? '').split(':');
  if (state !== undefined && isAbsolute(state)) return state;
  return configPath === undefined ? null : resolve(cwd, dirname(configPath), 'hearthcam-data');
}

/** Where models are looked for and downloaded to: as configured, else within the data folder. */
export function modelsFolder(
  config: LoadedConfig,
  terminal: Pick<Terminal, 'cwd' | 'env'>,
  configPath: string | undefined,
): string | null {
  const { dir } = config.get(modelsSection);
  if (dir !== '') return resolve(terminal.cwd, dir);
  const data = dataFolder(config, terminal, configPath);
  return data === null ? null : join(data, 'models');
}
