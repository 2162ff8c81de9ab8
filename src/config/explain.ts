/** An error of the YAML parser in the words of somebody who doesn't know YAML's. */
export function explainYaml(code: string, message: string): string {
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'a tab is used for indentation: YAML wants spaces';
    case 'DUPLICATE_KEY':
      return 'this key stands here twice: join the two entries';
    case 'BAD_INDENT':
      return message.includes('Flow')
        ? 'a [ or { is opened above and not closed'
        : 'wrong indentation: entries that belong together must begin in the same column';
    case 'MISSING_CHAR':
      if (message.includes('quote')) return 'a quote is opened above and not closed';
      return message.startsWith('Implicit map keys') ? 'this line has no ": " between name and value' : message;
    case 'BLOCK_AS_IMPLICIT_KEY':
      return 'a ": " within a text: put the text in quotes, or let the next line begin in the column of its neighbours';
    case 'BAD_SCALAR_START':
      return `a text that begins with ${/character (\S)/.exec(message)?.[1] ?? 'a special sign'} must be in quotes`;
    case 'MULTILINE_IMPLICIT_KEY':
      return 'this line has no ": " between name and value';
    case 'UNEXPECTED_TOKEN':
      return `something does not belong here: ${message}`;
    case 'MULTIPLE_DOCS':
      return 'a second document begins here ("---"): only one is read';
    default:
      return message;
  }
}

/** The name behind a `*` that no `&` has given. */
export function unknownAlias(error: Error): string | undefined {
  return /^Unresolved alias.*: (.+)$/s.exec(error.message)?.[1];
}

/** What the parser throws while it makes values. */
export function explainThrown(error: Error): string {
  if (/alias count/i.test(error.message)) return 'its aliases (*name) expand to too much';
  const alias = unknownAlias(error);
  if (alias !== undefined)
    return `*${alias} is used, but nothing above is marked &${alias}; a text with a * goes in quotes`;
  if (error instanceof RangeError) return 'nested too deeply';
  return error.message;
}
