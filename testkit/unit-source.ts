import type { SourceModule } from '../src/core/source.ts';
import type { TestUnit } from './pictures.ts';

/** A camera that sends the units over and over at their rate. */
export function unitSource(scheme: string, units: readonly TestUnit[]): SourceModule {
  return {
    name: scheme,
    schemes: [scheme],
    run: ({ signal }, sink) => {
      const [first] = units;
      if (first === undefined) throw new Error('a camera without pictures');
      const { format } = first;
      sink.describe({
        tracks: [{ kind: 'video', codec: format.codec, clockRateHz: format.clockRateHz, format }],
        formatName: format.codec,
        protocol: 'test',
        remoteAddr: '192.0.2.1:80',
        sharedClock: true,
      });
      const stepTicks = (units[1]?.dts ?? 3600) - first.dts;
      const startMs = performance.now();
      let sent = 0;
      return new Promise<void>((resolve) => {
        const timer = setInterval(() => {
          while (sent * stepTicks <= (performance.now() - startMs) * 90) {
            const unit = units[sent % units.length] ?? first;
            const shift = Math.floor(sent / units.length) * units.length * stepTicks;
            const { key, data } = unit;
            sink.alive(data.length);
            sink.unit({
              track: 0,
              format: unit.format,
              ticks: unit.pts + shift,
              decodeTicks: unit.dts + shift,
              key,
              data,
            });
            sink.flush();
            sent++;
          }
        }, 5);
        const end = (): void => {
          clearInterval(timer);
          resolve();
        };
        signal.addEventListener('abort', end, { once: true });
      });
    },
  };
}
