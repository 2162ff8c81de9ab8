import type { BurstMuxer } from '../../core/burst-feed.ts';
import { liveOutput, shareMuxer } from '../../core/live-response.ts';
import { EMPTY, type Track } from '../../core/media.ts';
import { TS_AUDIO_CODECS, TS_VIDEO_CODECS, TsWriter } from '../../wire/mpegts/writer.ts';

/** `GET /api/stream.ts?src=`: an endless MPEG transport stream. */
export const mpegts = liveOutput('mpegts', '/api/stream.ts', 'view', {
  formatName: 'mpegts',
  contentType: 'video/mp2t',
  wants: [
    { kind: 'video', codecs: TS_VIDEO_CODECS },
    { kind: 'audio', codecs: TS_AUDIO_CODECS },
  ],
  share: shareMuxer('mpegts', makeMuxer),
});

function makeMuxer(tracks: readonly Track[]): BurstMuxer {
  const writer = new TsWriter(
    tracks.map(({ id, codec, format }) => ({ id, codec, channels: format?.kind === 'audio' ? format.channels : 0 })),
  );
  // Tables stand before every key frame, so there is nothing to begin with.
  return { begin: () => EMPTY, mux: (units) => writer.write(units) };
}
