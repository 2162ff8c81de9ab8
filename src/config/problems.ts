/** What is wrong with a configuration, and where. */
export interface ConfigProblem {
  /** A warning leaves the configuration usable as it is. */
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** File name as given, or `command line`. */
  readonly file: string;
  /** 1-based; 0 where there is no place to point at. */
  readonly line: number;
  readonly column: number;
  readonly path: readonly string[];
  /** What was probably meant. */
  readonly suggestion?: string;
}

/** `hearthcam.yaml:12:3: error: …` as compilers write it, so that editors make it a link. */
export function formatProblem(problem: ConfigProblem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
  const hint = problem.suggestion === undefined ? '' : ` (did you mean "${problem.suggestion}"?)`;
  return `${place}: ${problem.severity}: ${problem.message}${hint}`;
}

/** Edits (insert, delete, change, swap neighbours) that turn `a` into `b`; gives up above `limit`. */
function editDistance(a: string, b: string, limit = 8): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? limit + 1;
}

/** The known word that a misspelt one is near to: at most a third of its letters wrong. */
export function suggest(word: string, known: Iterable<string>): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[-_ ]/g, '');
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  // A long word is no misspelling of ours, and comparing it would cost.
  if (word.length > 40) return undefined;
  for (const candidate of known) {
    // "warning" for warn, "sub2" for sub: as good as one wrong letter.
    const longer = candidate.length >= 3 && plain(word).startsWith(plain(candidate));
    const distance = longer ? 1 : editDistance(plain(word), plain(candidate));
    const allowed = Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3));
    if (distance <= allowed && distance < bestDistance && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}
