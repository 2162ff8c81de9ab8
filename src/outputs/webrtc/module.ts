import type { OutputModule } from '../../core/contracts.ts';
import { describeTaken, describeUnsupported, type WebrtcConfig, webrtcConfig } from './config.ts';
import { WebrtcRoutes } from './http.ts';
import { WebrtcService, type WebrtcServiceOptions } from './service.ts';
import { WebrtcMessages } from './signalling.ts';

export const webrtcOutput = createWebrtcOutput();

/** WebRTC: WHEP, WHIP and the WebSocket signalling of go2rtc (see README.md). */
export function createWebrtcOutput(options: WebrtcServiceOptions = {}): OutputModule<WebrtcConfig> {
  return {
    name: 'webrtc',
    config: { key: 'webrtc', schema: webrtcConfig },
    start(env, config, scope) {
      for (const told of describeTaken(config)) env.log.info(told);
      for (const told of describeUnsupported(config)) env.log.warn(told);
      const service = new WebrtcService(config, env.log, scope, options);
      new WebrtcRoutes(env, service).mount();
      new WebrtcMessages(env, service).mount();
    },
  };
}
