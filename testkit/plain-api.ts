import { createApi } from '../src/api/module.ts';
import type { OutputModule } from '../src/core/contracts.ts';

/** The API of a server without a configuration file. */
export function plainApi(): OutputModule {
  return createApi({
    settings: {
      path: undefined,
      readText: () => Promise.resolve(''),
      setStream: () => Promise.resolve(),
      deleteStream: () => Promise.resolve(),
      setPreload: () => Promise.resolve(),
      deletePreload: () => Promise.resolve(),
      replaceText: () => Promise.resolve(),
      mergePatch: () => Promise.resolve(),
    },
    ring: { text: () => '', clear: () => {} },
    control: { restart: () => {}, exit: () => {} },
    show: (text) => text,
    mask: (text) => text,
    version: '1.9.15',
    ownVersion: '0',
    rtsp: { listen: ':8554', default_query: 'video&audio', pkt_size: 0 },
    schema: () => ({}),
  });
}
