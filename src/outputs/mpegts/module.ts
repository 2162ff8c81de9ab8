import type { BurstMuxer } from '../../core/burst-feed.ts';
import type { OutputModule } from '../../core/contracts.ts';
import { serveLive, shareMuxer } from '../../core/live-response.ts';
import { EMPTY } from '../../core/media.ts';
import { TS_AUDIO_CODECS, TS_VIDEO_CODECS, TsWriter } from '../../wire/mpegts/writer.ts';

/** `GET /api/stream.ts?src=`: an endless MPEG transport stream. */
export const mpegts: OutputModule = {
  name: 'mpegts',
  start(env, _config, scope) {
    env.routes.route({
      methods: ['GET'],
      path: '/api/stream.ts',
      right: 'view',
      handler: (request, reply, peer) =>
        serveLive(env, request, reply, peer, scope, {
          formatName: 'mpegts',
          contentType: 'video/mp2t',
          wants: [
            { kind: 'video', codecs: TS_VIDEO_CODECS },
            { kind: 'audio', codecs: TS_AUDIO_CODECS },
          ],
          share: shareMuxer('mpegts', (tracks) => {
            const writer = new TsWriter(
              tracks.map(({ id, codec, format }) => ({
                id,
                codec,
                channels: format?.kind === 'audio' ? format.channels : 0,
              })),
            );
            // Tables stand before every key frame, so there is nothing to begin with.
            return { begin: () => EMPTY, mux: (units) => writer.write(units) } satisfies BurstMuxer;
          }),
        }),
    });
  },
};
