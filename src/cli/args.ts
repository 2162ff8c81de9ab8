import { HearthcamError } from '../core/errors.ts';

/** An option of a command. `-name`, `--name`, `-name=value` and `--name value` are all understood, as go2rtc does. */
export interface OptionSpec {
  /** Long name without dashes, then other names. */
  readonly names: readonly [string, ...string[]];
  /** What stands for the value in the help; absent for a switch. */
  readonly value?: string;
  readonly help: string;
}

export interface ParsedArgs {
  /** By long name; an option may occur several times. A switch has the value `true`. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  readonly positionals: readonly string[];
}

/** The command line can't be understood: shown without a stack, with the exit code 2. */
export class UsageError extends HearthcamError {
  constructor(message: string, hint?: string) {
    super('cli.usage', message, hint === undefined ? { status: 400 } : { status: 400, hint });
    this.name = 'UsageError';
  }
}

/**
 * Takes a command line apart.
 * @throws UsageError for an option that the command doesn't have, or one without its value
 */
export function parseArgs(
  args: readonly string[],
  specs: readonly OptionSpec[],
  suggest: (word: string, known: readonly string[]) => string | undefined,
): ParsedArgs {
  const options = new Map<string, string[]>();
  const positionals: string[] = [];
  const byName = new Map(specs.flatMap((spec) => spec.names.map((name) => [name, spec] as const)));
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? '';
    if (arg === '--') {
      positionals.push(...args.slice(index + 1));
      break;
    }
    if (!arg.startsWith('-') || arg === '-') {
      positionals.push(arg);
      continue;
    }
    const body = arg.replace(/^--?/, '');
    const equals = body.indexOf('=');
    const name = equals < 0 ? body : body.slice(0, equals);
    const spec = byName.get(name);
    if (spec === undefined) {
      const near = suggest(
        name,
        [...byName.keys()].filter((known) => known.length > 1),
      );
      throw new UsageError(
        `unknown option "${equals < 0 ? arg : arg.slice(0, arg.indexOf('='))}"`,
        near === undefined ? 'see: hearthcam help' : `did you mean --${near}?`,
      );
    }
    let value = equals < 0 ? undefined : body.slice(equals + 1);
    if (spec.value === undefined) {
      if (value !== undefined) throw new UsageError(`option "--${spec.names[0]}" takes no value`);
      value = 'true';
    } else if (value === undefined) {
      value = args[++index];
      if (value === undefined) throw new UsageError(`option "${arg}" needs a value: ${spec.value}`);
    }
    const values = options.get(spec.names[0]);
    if (values === undefined) options.set(spec.names[0], [value]);
    else values.push(value);
  }
  return { options, positionals };
}

/** A number within limits. @throws UsageError that names the option */
export function numberOption(
  args: ParsedArgs,
  name: string,
  fallback: number,
  limits: { readonly min: number; readonly max: number },
): number {
  const text = args.options.get(name)?.at(-1);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < limits.min || value > limits.max) {
    throw new UsageError(`--${name} must be a number from ${limits.min} to ${limits.max}, not "${text}"`);
  }
  return value;
}

/** The last value of an option that is one of few words. @throws UsageError */
export function choiceOption<T extends string>(args: ParsedArgs, name: string, fallback: T, choices: readonly T[]): T {
  const text = args.options.get(name)?.at(-1);
  if (text === undefined) return fallback;
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new UsageError(`--${name} must be one of ${choices.join(', ')}, not "${text}"`);
  return found;
}
