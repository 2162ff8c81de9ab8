/**
 * The load generator, a process of its own: `load.ts KIND URL VIEWERS SECONDS`. Viewers connect spread over two seconds
 * (a GOP), then it prints `ready`, measures for SECONDS, and prints a LoadResult. Kinds: rtsp, mse, hls,
 * webrtc, sink.
 */

import { Collector } from './lib/stats.ts';
import { hlsViewer } from './load/hls.ts';
import { mseViewer } from './load/mse.ts';
import { rtspViewer, sink } from './load/rtsp.ts';
import { webrtcViewer } from './load/webrtc.ts';

const [kind = '', url = '', viewersText = '1', secondsText = '5'] = process.argv.slice(2);
const viewers = Number(viewersText);
const collector = new Collector();
const SPREAD_MS = 2_000;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function one(index: number): Promise<void> {
  if (kind === 'sink') return sink(Number(url));
  await wait((index * SPREAD_MS) / viewers);
  if (kind === 'rtsp') return rtspViewer(url, collector);
  if (kind === 'mse') return mseViewer(url, collector);
  if (kind === 'hls') return hlsViewer(url, collector);
  if (kind === 'webrtc') return webrtcViewer(url, collector);
  throw new Error(`unknown kind ${kind}`);
}

process.on('unhandledRejection', (error) => {
  console.error(error);
  process.exit(1);
});
await Promise.all(Array.from({ length: viewers }, (_, index) => one(index)));
await wait(kind === 'sink' ? 0 : 1_000);
collector.begin();
console.log('ready');
await wait(Number(secondsText) * 1000);
console.log(JSON.stringify(collector.result()));
process.exit(0);
