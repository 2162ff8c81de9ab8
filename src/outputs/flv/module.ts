import { liveOutput, shareMuxer } from '../../core/live-response.ts';
import { FlvMuxer } from './muxer.ts';

/** `GET /api/stream.flv?src=`: an endless FLV. */
export const flv = liveOutput('flv', '/api/stream.flv', 'view', {
  formatName: 'flv',
  contentType: 'video/x-flv',
  wants: [
    { kind: 'video', codecs: ['h264', 'h265'] },
    { kind: 'audio', codecs: ['aac'] },
  ],
  share: shareMuxer('flv', (tracks) => new FlvMuxer(tracks)),
});
