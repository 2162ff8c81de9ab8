import assert from 'node:assert/strict';
import { test } from 'node:test';
import { suggest } from '../config/problems.ts';
import { numberOption, parseArgs, UsageError } from './args.ts';
import { COMMANDS, CONFIG_OPTION, GLOBAL_OPTIONS } from './commands.ts';
import { simulatorOptions } from './simulate.ts';

const specs = [CONFIG_OPTION, ...GLOBAL_OPTIONS];

const rows = [
  { name: '-c X', args: ['-c', 'a.yaml'], want: ['a.yaml'] },
  { name: '-config=X as Frigate writes it', args: ['-config=a.yaml', '-config=b.yaml'], want: ['a.yaml', 'b.yaml'] },
  { name: '--config X', args: ['--config', 'a.yaml'], want: ['a.yaml'] },
  { name: '--c=X with an equals sign inside', args: ['--c=log.level=debug'], want: ['log.level=debug'] },
  { name: 'inline YAML', args: ['-c', '{api: {listen: ":1"}}'], want: ['{api: {listen: ":1"}}'] },
];
for (const row of rows) {
  test(`configuration files are named by ${row.name}`, () => {
    assert.deepEqual(parseArgs(row.args, specs, suggest).options.get('config'), row.want);
  });
}

const wrong = [
  {
    name: 'a misspelt option',
    args: ['--confg', 'x'],
    message: /unknown option "--confg"/,
    hint: 'did you mean --config?',
  },
  {
    name: 'an option that is like none',
    args: ['--zzzzzz'],
    message: /unknown option "--zzzzzz"/,
    hint: 'see: hearthcam help',
  },
  { name: 'a missing value', args: ['-c'], message: /"-c" needs a value: FILE/, hint: undefined },
  { name: 'a value for a switch', args: ['--version=2'], message: /"--version" takes no value/, hint: undefined },
];
for (const row of wrong) {
  test(`a command line with ${row.name} says so`, () => {
    assert.throws(
      () => parseArgs(row.args, specs, suggest),
      (error) => error instanceof UsageError && row.message.test(error.message) && error.hint === row.hint,
    );
  });
}

const simulateSpecs = COMMANDS.find((command) => command.name === 'simulate')?.options ?? [];
const simulatorFor = (...args: string[]) => simulatorOptions(parseArgs(args, simulateSpecs, suggest));

test('the simulator is told codec, GOP, rate, size and faults', () => {
  const options = simulatorFor(
    ...['--codec=h265', '--audio', 'pcma', '--gop', '4', '--fps=20', '--bitrate=4000', '--size=2560x1440'],
    ...['--loss=1.5', '--stall=30:6', '--drop=60', '--user=me:a:b', '--listen=:9000', '--camera=a', '--no-sub'],
  );
  assert.deepEqual(options.cameras?.[0], {
    name: 'a',
    sub: false,
    main: { codec: 'h265', audio: 'pcma', width: 2560, height: 1440, fps: 20, gop: 80, bitRateKbps: 4000, bFrames: 0 },
  });
  assert.deepEqual([options.host, options.port, options.username, options.password], ['0.0.0.0', 9000, 'me', 'a:b']);
  assert.deepEqual(options.faults, {
    lossPercent: 1.5,
    stallEveryS: 30,
    stallForS: 6,
    dropEveryS: 60,
    dropForS: 0,
    paramSets: 'both',
  });
});

test('the simulator refuses nonsense by naming the option', () => {
  for (const arg of [
    '--fps=0',
    '--codec=mpeg2',
    '--size=big',
    '--loss=101',
    '--stall=x',
    '--listen=nowhere',
    '--gop=',
  ]) {
    const name = /--[a-z]+/.exec(arg)?.[0] ?? '';
    assert.throws(
      () => simulatorFor(arg),
      (error) => error instanceof UsageError && error.message.startsWith(name),
    );
  }
  assert.equal(numberOption(parseArgs([], [], suggest), 'x', 7, { min: 0, max: 1 }), 7);
});
