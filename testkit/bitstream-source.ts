import type { SourceModule } from '../src/core/source.ts';
import type { CodedUnit } from './bitstreams.ts';

export interface BitstreamTrack {
  readonly units: readonly CodedUnit[];
  /** Time of one unit. */
  readonly unitMs: number;
}

/** Plays coded units over and over in real time, as the camera of all streams whose source has the scheme. */
export function bitstreamSource(scheme: string, tracks: readonly BitstreamTrack[]): SourceModule {
  return {
    name: scheme,
    schemes: [scheme],
    run: (request, sink) =>
      new Promise<void>((resolve) => {
        sink.describe({
          tracks: tracks.map(({ units }) => {
            const format = units[0]?.format;
            if (format === undefined) throw new Error('a track without units');
            return { kind: format.kind, codec: format.codec, clockRateHz: format.clockRateHz, format };
          }),
          formatName: 'test',
          protocol: 'test',
          remoteAddr: '192.0.2.1:80',
          sharedClock: true,
        });
        const startMs = performance.now();
        const sent = tracks.map(() => 0);
        const timer = setInterval(() => {
          const nowMs = performance.now() - startMs;
          for (const [track, { units, unitMs }] of tracks.entries()) {
            for (let count = sent[track] ?? 0; count * unitMs <= nowMs; count++) {
              const unit = units[count % units.length];
              if (unit === undefined) break;
              const ticks = Math.round((count * unitMs * unit.format.clockRateHz) / 1000);
              sink.alive(unit.data.length);
              sink.unit({ track, ...unit, ticks, decodeTicks: ticks });
              sink.flush();
              sent[track] = count + 1;
            }
          }
        }, 5);
        request.signal.addEventListener(
          'abort',
          () => {
            clearInterval(timer);
            resolve();
          },
          { once: true },
        );
      }),
  };
}
