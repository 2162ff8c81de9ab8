import { validateHeaderName, validateHeaderValue } from 'node:http';
import { HearthcamError } from '../../core/errors.ts';
import { type SourceSpec, specParam } from '../../core/source.ts';

export interface HttpSpec {
  readonly url: URL;
  readonly insecure: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

const DEFAULT_TIMEOUT_MS = 8_000;
const MAX_TIMEOUT_S = 300;

/** @throws HearthcamError 400 that says what is wrong with the address or its `#` parameters. */
export function parseHttpSpec(spec: SourceSpec): HttpSpec {
  const insecure = spec.scheme === 'httpx';
  const text = insecure ? spec.url.replace(/^httpx:/i, 'https:') : spec.url;
  if (!/^https?:\/\/./i.test(text) || !URL.canParse(text)) {
    throw new HearthcamError('source.url', `"${spec.url}" is not an address`, {
      status: 400,
      hint: 'write it as http://host:port/path; a login stands before the host: user:password@',
    });
  }
  const headers: Record<string, string> = {};
  for (const line of spec.params.get('header') ?? []) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).trim();
    const value = line.slice(colon + 1).trim();
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch (cause) {
      throw new HearthcamError('source.header', `"${line}" is not an HTTP header`, {
        status: 400,
        cause,
        hint: 'write #header=Name: value',
      });
    }
    headers[name] = value;
  }
  const timeout = specParam(spec, 'timeout');
  const timeoutS = timeout === undefined ? DEFAULT_TIMEOUT_MS / 1000 : Number(timeout);
  if (!(timeoutS > 0 && timeoutS <= MAX_TIMEOUT_S)) {
    throw new HearthcamError(
      'source.timeout',
      `#timeout=${timeout} is not a number of seconds from 1 to ${MAX_TIMEOUT_S}`,
      {
        status: 400,
      },
    );
  }
  return { url: new URL(text), insecure, headers, timeoutMs: timeoutS * 1000 };
}
