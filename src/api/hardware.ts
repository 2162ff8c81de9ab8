import type { Env } from '../core/contracts.ts';
import { HARDWARE_CODECS, HARDWARE_NAMES, type HardwareReport } from '../core/hardware.ts';
import { sendJson } from './reply.ts';

/** Home Assistant's integration waits 3 s; a first trial of hardware may take longer, and goes on. */
const WAIT_MS = 2_500;

/**
 * `GET /api/ffmpeg/hardware` (compatibility.md 1.7): for each kind of hardware and codec whether coding works, as go2rtc
 * tells it; `info` has the reason, and `hardware` what was found in full.
 */
export function mountHardware({ routes, hardware }: Env): void {
  routes.route({
    methods: ['GET', 'HEAD'],
    path: '/api/ffmpeg/hardware',
    right: 'configure',
    handler: async (_request, reply) => {
      const reports = await within(hardware.reports(), WAIT_MS);
      return sendJson(reply, {
        sources: (reports ?? []).flatMap(asSources),
        hardware: reports,
        ...(reports === null ? { info: 'it is being tried what works: ask again in some seconds' } : {}),
      });
    },
  });
}

function asSources(report: HardwareReport): object[] {
  const { kind, device, encode, error, hint } = report;
  const why = [error, hint].filter((text) => text !== undefined).join('; ');
  return HARDWARE_CODECS.map((codec) => ({
    name: encode.includes(codec) ? 'OK' : 'ERROR',
    info: [device === null ? HARDWARE_NAMES[kind] : `${HARDWARE_NAMES[kind]} (${device})`, why]
      .filter(Boolean)
      .join(': '),
    url: `ffmpeg:...#video=${codec}#hardware=${kind}`,
  }));
}

/** Null when it takes longer. */
async function within<T>(work: Promise<T>, ms: number): Promise<T | null> {
  const { promise, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(() => resolve(null), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
