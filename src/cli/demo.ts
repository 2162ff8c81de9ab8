import type { App } from '../app.ts';
import type { ConfigInput } from '../config/inputs.ts';
import type { LoadedConfig } from '../config/load.ts';
import { apiSection } from '../config/sections.ts';
import { HearthcamError } from '../core/errors.ts';
import type { Scope } from '../core/scope.ts';
import { outputs } from '../modules.ts';
import { demoConfig, startSimulator } from '../simulate/simulator.ts';
import { quietLog } from './log.ts';
import type { Terminal } from './main.ts';

/** Starts the simulated cameras on a free loopback port. @returns the configuration that restreams them */
export async function startDemo(scope: Scope): Promise<ConfigInput> {
  const simulator = await startSimulator({ rtspOutput: rtspModule(), log: quietLog });
  scope.defer(() => simulator.stop());
  return { kind: 'text', label: 'demo', text: JSON.stringify(demoConfig(simulator)) };
}

/** The project's own RTSP server, which the simulator uses too. */
export function rtspModule() {
  const module = outputs.find((output) => output.name === 'rtsp');
  if (module === undefined) throw new HearthcamError('simulate.rtsp', 'the simulator needs the RTSP server module');
  return module;
}

/** The addresses that work at once. */
export function printLinks(app: App, rtspListen: string, config: LoadedConfig, terminal: Terminal): void {
  const api = config.get(apiSection);
  const [address] = app.http.addresses;
  const web = address === undefined ? '' : `http://${hostFor(api.listen)}:${address.port}`;
  const rtsp = `rtsp://${hostFor(rtspListen)}:${rtspListen.split(':').at(-1)}`;
  const [name = 'nursery'] = [...app.hub.streams.keys()];
  terminal.stdout.write(
    [
      '',
      'The demo is running: two simulated cameras, each with a main and a sub stream.',
      `  Web page   ${web}/`,
      `  Player     ${web}/stream.html?src=${name}`,
      `  RTSP       ${rtsp}/${name}`,
      `  HLS        ${web}/api/stream.m3u8?src=${name}&mp4`,
      `  Still      ${web}/api/frame.jpeg?src=${name}`,
      'Your own cameras: write hearthcam.yaml (see docs/configuration.md) and start again. Ctrl-C stops.',
      '',
      '',
    ].join('\n'),
  );
}

function hostFor(listen: string): string {
  const host = listen.replace(/:\d+$/, '');
  return host === '' || host === '0.0.0.0' || host === '[::]' ? '127.0.0.1' : host;
}
