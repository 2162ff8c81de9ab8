import { SENSITIVITIES } from '../core/events.ts';
import { COMMANDS, type Command, nameOfLevel, type Topics } from './topics.ts';

export type ParsedCommand =
  | { readonly camera: string; readonly command: Command }
  /** What is wrong, for the log. */
  | { readonly problem: string };

const MAX_SHOWN = 40;

/** What is asked by a message on `<prefix>/<camera>/<what>/set`; null where the topic is none of these. */
export function parseCommand(topics: Topics, topic: string, payload: Buffer): ParsedCommand | null {
  if (!topic.startsWith(`${topics.prefix}/`)) return null;
  const [level, what, verb, ...rest] = topic.slice(topics.prefix.length + 1).split('/');
  const kind = COMMANDS.find((one) => one === what);
  if (level === undefined || kind === undefined || verb !== 'set' || rest.length > 0) return null;
  const camera = nameOfLevel(level);
  if (camera === null || camera === '') return { problem: `${shown(level)} is no camera` };
  // More than any word has is not looked at.
  const text = payload.length > 100 ? '' : payload.toString('utf8').trim();
  const command = commandOf(kind, text);
  if (command !== null) return { camera, command };
  const expected = kind === 'listening' ? 'ON or OFF' : kind === 'snapshot' ? 'PRESS' : SENSITIVITIES.join(', ');
  return { problem: `${shown(payload.subarray(0, 100).toString('utf8'))} on ${shown(topic)} is not ${expected}` };
}

function commandOf(kind: Command['kind'], text: string): Command | null {
  switch (kind) {
    case 'listening': {
      const word = text.toUpperCase();
      return word === 'ON' || word === 'OFF' ? { kind, on: word === 'ON' } : null;
    }
    case 'sensitivity': {
      const sensitivity = SENSITIVITIES.find((one) => one === text.toLowerCase());
      return sensitivity === undefined ? null : { kind, sensitivity };
    }
    case 'snapshot':
      return text.toUpperCase() === 'PRESS' ? { kind } : null;
  }
}

/** For a line of the log: short, and without what a terminal would obey. */
function shown(text: string): string {
  const cut = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  return JSON.stringify(cut).replace(/[\u007f-\u009f]/g, '?');
}
