import type { Env, OutputModule } from '../core/contracts.ts';
import { mountApplication } from './application.ts';
import { StreamDescriber } from './describe.ts';
import { mountDiscovery } from './discovery.ts';
import { mountHardware } from './hardware.ts';
import { mountPreload } from './preload.ts';
import { mountQualities } from './qualities.ts';
import type { ApiServices } from './services.ts';
import { StreamsApi } from './streams.ts';
import { TalkApi } from './talk.ts';

/** go2rtc's application endpoints (compatibility.md 1.1–1.3, and 1.7 as far as nothing is found). */
export function createApi(services: ApiServices): OutputModule {
  return {
    name: 'api',
    start(env: Env): void {
      const describer = new StreamDescriber(services.show);
      mountApplication(env, services);
      const talk = new TalkApi(env);
      new StreamsApi(env, services, describer, talk).mount();
      mountPreload(env, services, describer);
      mountDiscovery(env, talk);
      mountHardware(env);
      mountQualities(env);
    },
  };
}
