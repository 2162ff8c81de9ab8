import { readFile } from 'node:fs/promises';
import { HearthcamError } from '../../core/errors.ts';
import type { Labels } from './rules.ts';

/** Rows of a CSV with a head (RFC 4180; lines within quotes are not used by these files), by the names in it. */
export function parseCsv(text: string): Record<string, string>[] {
  const [head = '', ...lines] = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
  const names = cells(head);
  return lines.map((line) => {
    const values = cells(line);
    return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']));
  });
}

function cells(line: string): string[] {
  const out: string[] = [];
  for (const [, quoted, plain] of line.matchAll(/(?:"((?:[^"]|"")*)"|([^,]*))(?:,|$)/g)) {
    out.push(quoted === undefined ? (plain ?? '') : quoted.replaceAll('""', '"'));
  }
  // The end of the line matches once more, as an empty cell.
  if (!line.endsWith(',')) out.pop();
  return out;
}

/** @throws HearthcamError `listen.labels` when times are no numbers */
export async function readSceneLabels(path: string): Promise<Labels> {
  const rows = parseCsv(await readFile(path, 'utf8')).map((row) => ({
    startS: seconds(row['start'], path),
    endS: seconds(row['end'], path),
    label: row['label'] === undefined || row['label'] === '' ? 'cry' : row['label'],
    name: row['class'] ?? '',
    snrDb: row['snr_db'] ?? '',
  }));
  return {
    bouts: rows.filter((row) => row.label === 'cry').sort((a, b) => a.startS - b.startS),
    distractors: rows.filter((row) => row.label === 'distractor'),
    lengthS: Math.max(0, ...rows.map((row) => row.endS)),
  };
}

export interface LabelledClip {
  readonly file: string;
  readonly cry: boolean;
  readonly class: string;
}

/** @throws HearthcamError `listen.labels` when a row has no file */
export async function readClipLabels(path: string): Promise<LabelledClip[]> {
  return parseCsv(await readFile(path, 'utf8')).map((row) => {
    const file = row['file'] ?? '';
    if (file === '' || file.split('/').includes('..')) {
      throw new HearthcamError('listen.labels', `${path}: "${file}" is no name of a clip`, { status: 400 });
    }
    return { file, cry: row['label'] === 'cry', class: row['class'] ?? '' };
  });
}

function seconds(text: string | undefined, path: string): number {
  const value = Number(text);
  if (text === undefined || text.trim() === '' || !Number.isFinite(value)) {
    throw new HearthcamError('listen.labels', `${path}: "${text ?? ''}" is no time in seconds`, { status: 400 });
  }
  return value;
}
