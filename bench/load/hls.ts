import { STAMP_MARK } from '../lib/stamp.ts';
import type { Collector } from '../lib/stats.ts';

/** Opens an LL-HLS stream as a player does: master, media playlist, init, then the newest independent part. */
export async function hlsViewer(masterUrl: string, collector: Collector): Promise<void> {
  const startMs = performance.now();
  const master = await text(masterUrl);
  const mediaUrl = new URL(lastLine(master), masterUrl).href;
  for (let tries = 0; tries < 100; tries++) {
    const playlist = await text(mediaUrl);
    const init = /#EXT-X-MAP:URI="([^"]+)"/.exec(playlist)?.[1];
    const parts = [...playlist.matchAll(/#EXT-X-PART:([^\n]*)/g)].map((match) => match[1] ?? '');
    const independent = parts.findLast((part) => part.includes('INDEPENDENT=YES'));
    const uri = /URI="([^"]+)"/.exec(independent ?? '')?.[1];
    if (init === undefined || uri === undefined) continue;
    await (await fetch(new URL(init, mediaUrl))).arrayBuffer();
    const part = Buffer.from(await (await fetch(new URL(uri, mediaUrl))).arrayBuffer());
    if (!part.includes(STAMP_MARK)) throw new Error('the part holds no picture of the camera');
    collector.firstPictureMs.push(performance.now() - startMs);
    return;
  }
  throw new Error('no independent part in the playlist');
}

async function text(url: string): Promise<string> {
  const response = await fetch(url);
  const body = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${body}`);
  return body;
}

function lastLine(playlist: string): string {
  return (
    playlist
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('#'))
      .at(0) ?? ''
  );
}
