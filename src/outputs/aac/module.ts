import type { BurstMuxer } from '../../core/burst-feed.ts';
import { liveOutput, shareMuxer } from '../../core/live-response.ts';
import { type AccessUnit, EMPTY, type TrackFormat } from '../../core/media.ts';
import { adtsHeaderMaker } from '../../wire/aac/adts.ts';

/** `GET /api/stream.aac?src=`: the sound alone, AAC in ADTS. */
export const aac = liveOutput('aac', '/api/stream.aac', 'listen', {
  formatName: 'adts',
  contentType: 'audio/aac',
  wants: [{ kind: 'audio', codecs: ['aac'] }],
  share: shareMuxer('adts', () => new AdtsMuxer()),
});

class AdtsMuxer implements BurstMuxer {
  #format: TrackFormat | null = null;
  #header: (payloadBytes: number) => Buffer = () => EMPTY;

  begin(): Buffer {
    return EMPTY;
  }

  mux(units: readonly AccessUnit[]): Buffer {
    return Buffer.concat(
      units.flatMap((unit) => {
        if (unit.format !== this.#format) {
          this.#header = adtsHeaderMaker(unit.format.config);
          this.#format = unit.format;
        }
        return [this.#header(unit.data.length), unit.data];
      }),
    );
  }
}
