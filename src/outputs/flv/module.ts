import type { OutputModule } from '../../core/contracts.ts';
import { serveLive, shareMuxer } from '../../core/live-response.ts';
import { FlvMuxer } from './muxer.ts';

/** `GET /api/stream.flv?src=`: an endless FLV. */
export const flv: OutputModule = {
  name: 'flv',
  start(env, _config, scope) {
    env.routes.route({
      methods: ['GET'],
      path: '/api/stream.flv',
      right: 'view',
      handler: (request, reply, peer) =>
        serveLive(env, request, reply, peer, scope, {
          formatName: 'flv',
          contentType: 'video/x-flv',
          wants: [
            { kind: 'video', codecs: ['h264', 'h265'] },
            { kind: 'audio', codecs: ['aac'] },
          ],
          share: shareMuxer('flv', (tracks) => new FlvMuxer(tracks)),
        }),
    });
  },
};
