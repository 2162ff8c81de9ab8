import { suggest } from '../config/problems.ts';
import { describeError } from '../core/errors.ts';
import { parseArgs, UsageError } from './args.ts';
import { COMMANDS, GLOBAL_OPTIONS, helpText } from './commands.ts';
import { versionLine } from './version.ts';

/** What a command may use of the process. */
export interface Terminal {
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/**
 * Runs a command line (without the program's name).
 * @returns the exit code, or undefined when a server is running now
 */
export async function main(args: readonly string[], terminal: Terminal): Promise<number | undefined> {
  try {
    return await run(args, terminal);
  } catch (error) {
    terminal.stderr.write(`hearthcam: ${describeError(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function run(args: readonly string[], terminal: Terminal): Promise<number | undefined> {
  const first = args[0];
  const isCommand = first !== undefined && !first.startsWith('-');
  const command = COMMANDS.find((one) => one.name === (isCommand ? first : 'serve'));
  if (first === 'help') {
    terminal.stdout.write(helpText());
    return 0;
  }
  if (command === undefined) {
    const near = suggest(first ?? '', [...COMMANDS.map((one) => one.name), 'help']);
    throw new UsageError(
      `unknown command "${first}"`,
      near === undefined ? 'see: hearthcam help' : `did you mean ${near}?`,
    );
  }
  const parsed = parseArgs(isCommand ? args.slice(1) : args, [...command.options, ...GLOBAL_OPTIONS], suggest);
  if (parsed.options.has('help')) {
    terminal.stdout.write(helpText());
    return 0;
  }
  if (parsed.options.has('version')) {
    terminal.stdout.write(`${versionLine(process.platform, process.arch)}\n`);
    return 0;
  }
  if (parsed.options.has('daemon')) {
    throw new UsageError('running in the background (-d) is not supported', 'use systemd, Docker, or & of the shell');
  }
  const stray = parsed.positionals[0];
  if (stray !== undefined && command.name !== 'listen' && command.name !== 'notify') {
    throw new UsageError(`unexpected "${stray}"`, `to use a configuration file: hearthcam ${command.name} -c ${stray}`);
  }
  const configs = parsed.options.get('config') ?? [];
  switch (command.name) {
    case 'check': {
      if (parsed.options.has('hardware')) {
        const { checkHardware } = await import('./hardware.ts');
        return checkHardware(terminal);
      }
      const { check } = await import('./check.ts');
      return check(configs, terminal);
    }
    case 'listen': {
      const { listen } = await import('./listen.ts');
      return listen(parsed, terminal);
    }
    case 'notify': {
      const { notifyTest } = await import('./notify.ts');
      return notifyTest(parsed.positionals, configs, terminal);
    }
    case 'simulate': {
      const { simulate } = await import('./simulate.ts');
      return simulate(parsed, terminal);
    }
    default: {
      const { serve } = await import('./serve.ts');
      await serve({ configs, demo: command.name === 'demo' }, terminal);
      return undefined;
    }
  }
}
