import { ownerPolicy } from '../../src/access/policy.ts';
import { createApi } from '../../src/api/module.ts';
import type { ApiServices } from '../../src/api/services.ts';
import type { Env, OutputModule, Right, Route, WsMessage } from '../../src/core/contracts.ts';
import { EventBus } from '../../src/core/events.ts';
import { Hub } from '../../src/core/hub.ts';
import type { Log } from '../../src/core/log.ts';
import { Preloads } from '../../src/core/preload.ts';
import { Scope } from '../../src/core/scope.ts';
import { createSources, outputs } from '../../src/modules.ts';
import { table } from './table.ts';

/** `docs/modules.md`: what can be read from, and every route and message with the right it needs, as registered. */
export async function modulesPage(): Promise<string> {
  const scope = new Scope('docs');
  try {
    const sources = createSources(
      () => hub,
      () => [],
    );
    const hub = new Hub({ log: SILENT, sources });
    const rows: string[][] = [];
    for (const output of [...outputs, createApi(SERVICES)]) rows.push(...(await registered(output, hub, scope)));
    return `# Modules

<!-- Written by scripts/docs.ts from the code: don't edit. -->

Each module is a folder with a README: \`src/sources/*\`, \`src/outputs/*\`.

## Sources

The first word of a stream's source.

${table(
  ['Module', 'Schemes'],
  sources.map(({ name, schemes }) => [
    name,
    schemes.map((scheme) => (scheme === '' ? '*name of another stream*' : `\`${scheme}:\``)).join(', '),
  ]),
)}
## Routes and messages

What each module answers, and the right that it takes. Until there are users, whoever is authenticated has all rights. RTSP has a port of its own (\`rtsp.listen\`): watching takes \`view\`. Publishing takes \`configure\` whatever the way: RTSP, \`POST /api/stream…?dst=\`, WHIP or WebSocket.

${table(['Module', 'Path or WebSocket message', 'Methods', 'Right'], rows)}`;
  } finally {
    await scope.close();
  }
}

/** One row for each path and right. */
async function registered(output: OutputModule, hub: Hub, scope: Scope): Promise<string[][]> {
  const rows = new Map<string, { what: string; methods: readonly string[]; right: Right }>();
  const row = (what: string, added: readonly string[], right: Right): void => {
    const methods = [...(rows.get(what + right)?.methods ?? []), ...added];
    // A route of nothing but OPTIONS answers browsers that ask before they ask.
    if (added.join() !== 'OPTIONS')
      rows.set(what + right, { what, methods: methods.filter((one) => one !== 'OPTIONS'), right });
  };
  const env: Env = {
    log: SILENT,
    hub,
    routes: {
      route: ({ path, methods, right }: Route) => row(`\`${path}\``, methods, right),
      message: ({ type, right }: WsMessage) => row(`message \`${type}\``, [], right),
    },
    access: ownerPolicy(),
    stills: { still: refuse },
    preloads: new Preloads(hub, SILENT, scope),
    cameras: { variants: (name) => [name], all: () => ({}) },
    renditions: { of: () => [] },
    hardware: { reports: async () => [] },
    events: new EventBus(SILENT),
    dataDir: null,
    modelsDir: null,
    product: 'hearthcam',
  };
  // An empty `listen` opens no port.
  const config = output.config?.schema.parse({ listen: '' });
  await output.start(env, config, scope);
  return [...rows.values()].map(({ what, methods, right }) => [output.name, what, methods.join(', '), right]);
}

const refuse = (): never => {
  throw new Error('not there while documents are written');
};

/** What the API asks for when somebody calls it, which nobody does here. */
const SERVICES: ApiServices = {
  settings: {
    path: undefined,
    readText: refuse,
    setStream: refuse,
    deleteStream: refuse,
    setPreload: refuse,
    deletePreload: refuse,
    replaceText: refuse,
    mergePatch: refuse,
  },
  ring: { text: refuse, clear: refuse },
  control: { restart: refuse, exit: refuse },
  show: refuse,
  mask: refuse,
  version: '',
  ownVersion: '',
  rtsp: { listen: '', default_query: '', pkt_size: 0 },
  schema: refuse,
};

const SILENT: Log = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => SILENT,
};
