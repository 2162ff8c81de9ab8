import { HearthcamError } from '../../core/errors.ts';

const MAX_WORDS = 512;

/** What a shell would act on, where it begins a word: as a word of its own it can't be meant for the program. */
const OPERATOR = /^(?:\|\|?|&&?|;|[0-9]?>[>&]?.*|&>.*|<.*)$/s;

/**
 * Splits a command line into words as a shell does: at spaces, with '…' and "…" and backslashes. No shell runs it, so
 * there are no variables, no wildcards, no pipes; what would need one is refused.
 * @throws HearthcamError 400 that says what is wrong
 */
export function splitCommand(text: string): readonly string[] {
  const words: string[] = [];
  let word = '';
  /** Within a word, be it an empty one in quotes. */
  let open = false;
  let quoted = false;
  const close = (): void => {
    if (!open) return;
    if (!quoted && OPERATOR.test(word)) throw needsShell(word);
    words.push(word);
    if (words.length > MAX_WORDS) throw wrong(`it has more than ${MAX_WORDS} words`);
    word = '';
    open = false;
    quoted = false;
  };
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (/\s/.test(char)) {
      close();
      continue;
    }
    open = true;
    if (char === "'") {
      const end = text.indexOf("'", at + 1);
      if (end < 0) throw wrong("a ' is opened and not closed");
      word += text.slice(at + 1, end);
      quoted = true;
      at = end;
    } else if (char === '"') {
      const inner = readDoubleQuoted(text, at + 1);
      word += inner.text;
      quoted = true;
      at = inner.end;
    } else if (char === '\\') {
      at++;
      if (at >= text.length) throw wrong('a backslash stands at its end');
      word += text.charAt(at);
      quoted = true;
    } else {
      if (char === '\0') throw wrong('it has a zero byte in it');
      if (text.startsWith('$(', at) || (char === '`' && word === '')) throw needsShell(text.slice(at, at + 12));
      word += char;
    }
  }
  close();
  if (words.length === 0 || words[0] === '') throw wrong('it names no program');
  return words;
}

/** POSIX 2.2.3: within "…" a backslash stands for itself unless $, `, " or another backslash follows. */
function readDoubleQuoted(text: string, start: number): { text: string; end: number } {
  let inner = '';
  for (let at = start; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === '"') return { text: inner, end: at };
    if (char === '\\' && /["\\$`]/.test(text.charAt(at + 1))) {
      at++;
      inner += text.charAt(at);
      continue;
    }
    if (text.startsWith('$(', at)) throw needsShell(text.slice(at, at + 12));
    inner += char;
  }
  throw wrong('a " is opened and not closed');
}

function wrong(what: string): HearthcamError {
  return new HearthcamError('program.command', `the command can't be read: ${what}`, { status: 400 });
}

function needsShell(near: string): HearthcamError {
  return new HearthcamError('program.shell', `the command needs a shell at ${JSON.stringify(near)}, and none runs it`, {
    status: 400,
    hint: "put it in quotes if the program is to get it as it stands, or name a script of yours: there may be pipes in it; exec:sh -c '…' works too",
  });
}
