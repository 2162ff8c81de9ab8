/**
 * Whether a camera takes sound, by the answer to `GET /api/streams?src=…&microphone` (docs/compatibility.md 1.2): one
 * of its `medias` is an audio that is sent to it. The server tells that only to who may speak.
 */
export function takesTalk(answer: string): boolean {
  return /"audio, send(only|recv), /.test(answer.split('"consumers"', 1)[0] ?? '');
}
