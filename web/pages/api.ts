import { reasonFromHttp } from '../player/logic/reasons.ts';

/** Reads JSON from the server. @throws Error with a text for the reader. */
export async function getJson(path: string, timeoutMs = 8_000): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(timeoutMs) });
  } catch {
    throw new Error('The server can’t be reached.');
  }
  if (!response.ok) throw new Error(reasonFromHttp(response.status, await response.text()).text);
  return response.json();
}
