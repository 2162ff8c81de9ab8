import { resolveInputs } from '../config/inputs.ts';
import { ConfigStore } from '../config/store.ts';
import { SecretMask } from '../core/secrets.ts';
import { outputs } from '../modules.ts';
import { makeTargets, sendTest } from '../notify/notifier.ts';
import { notifySchema } from '../notify/settings.ts';
import { UsageError } from './args.ts';
import { dataFolder } from './data-folder.ts';
import type { Terminal } from './main.ts';
import { allSections } from './settings.ts';
import { VERSION } from './version.ts';

/** `hearthcam notify test NAME`: tells one target of the configuration; no server has to run. @returns the exit code */
export async function notifyTest(
  words: readonly string[],
  configs: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const [what, name, more] = words;
  if (what !== 'test' || name === undefined || more !== undefined) {
    throw new UsageError('notify needs "test" and a name', 'write: hearthcam notify test NAME');
  }
  const sections = allSections(outputs);
  const inputs = resolveInputs(configs, terminal.cwd);
  const store = new ConfigStore({ inputs, sections, env: terminal.env, mask: new SecretMask() });
  const config = store.current;
  config.throwIfFatal();
  const settings = config.get({ key: 'notify', schema: notifySchema });
  const options = { settings, dataDir: dataFolder(config, terminal, store.path), product: `hearthcam/${VERSION}` };
  const { targets } = makeTargets(options, (problem) => terminal.stderr.write(`${problem}\n`));
  await sendTest(targets, name);
  terminal.stdout.write(`${name} was told\n`);
  return 0;
}
