import { join } from 'node:path';
import type { Env, OutputModule } from '../core/contracts.ts';
import { makeDataFolder } from '../core/data-folder.ts';
import { describeError, HearthcamError } from '../core/errors.ts';
import { type Ears, eventMessage } from '../core/events.ts';
import { LogLimiter } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import { Board } from './board.ts';
import { startBroker } from './broker.ts';
import { parseCommand } from './commands.ts';
import { brokerAddress, embeddedPort, type MqttConfig, mqttConfig } from './config.ts';
import { Connection, type Session } from './connection.ts';
import { Leftovers } from './leftovers.ts';
import { Outbox } from './outbox.ts';
import { Reporter } from './reporter.ts';
import { Snapshots } from './snapshots.ts';
import { TodayCounters } from './today.ts';
import { COMMANDS, type Command, Topics } from './topics.ts';

const TICK_MS = 2_000;
/** So long after the start whoever listens has started, too, and a device that is not announced by then is of no camera. */
const SWEEP_MS = 60_000;

/** What tests make shorter. */
export interface MqttTiming {
  readonly tickMs?: number;
  readonly settleMs?: number;
  readonly sweepMs?: number;
  readonly retry?: { readonly firstMs: number; readonly maxMs: number };
}

/** Events, states and switches on MQTT, and Home Assistant's devices. Nothing is loaded unless a broker is configured. */
export const mqttOutput: OutputModule<MqttConfig> = {
  name: 'mqtt',
  config: { key: 'mqtt', schema: mqttConfig },
  start: (env, config, scope) => startMqtt(env, config, scope),
};

export async function startMqtt(env: Env, config: MqttConfig, parent: Scope, timing: MqttTiming = {}): Promise<void> {
  const { log, events } = env;
  const address = brokerAddress(config);
  if (address === null) return;
  const scope = parent.child('mqtt');
  const topics = new Topics(config.prefix, config.discovery_prefix);
  const folder = await folderOf(env);
  const outbox = new Outbox({ topics, log, path: folder === null ? null : join(folder, 'outbox.jsonl') });
  const today = new TodayCounters(folder === null ? null : join(folder, 'today.json'), log);
  await Promise.all([outbox.load(), today.load()]);
  scope.defer(() => Promise.all([outbox.close(), today.settle()]).then(() => undefined));

  const inside = embeddedPort(config);
  // Whoever connects finds it closed until then, and tries again.
  const listening = inside === null ? Promise.resolve() : startBroker(inside, log, scope.child('broker'));

  const board = new Board();
  board.set(topics.status, 'online');
  const settleMs = timing.settleMs === undefined ? {} : { settleMs: timing.settleMs };
  const reporter = new Reporter({ env, topics, board, today, discovery: config.discovery, ...settleMs });
  const snapshots = new Snapshots(env, (camera, jpeg) => {
    if (reporter.cameras.includes(camera)) board.set(topics.of(camera).snapshot, jpeg);
  });
  const leftovers = new Leftovers(topics);
  const obey = commander(env, reporter, snapshots);
  const limiter = new LogLimiter();
  const warn = (problem: string): void => {
    const before = limiter.admit('set');
    if (before !== null) log.warn(problem, before > 0 ? { before } : {});
  };

  const onMessage = (topic: string, payload: Buffer, retained: boolean): void => {
    if (topic === topics.status) {
      // The last will of a connection of ours that the broker only now finds dead.
      if (payload.toString() === 'offline' && !scope.closed) board.publishAll();
    } else if (config.discovery && topic === topics.homeAssistantStatus) {
      if (!retained && payload.toString() === 'online') reporter.tellAgain();
    } else if (config.discovery && topic.startsWith(`${topics.discoveryPrefix}/device/`)) {
      leftovers.take(topic, payload);
    } else {
      const parsed = parseCommand(topics, topic, payload);
      if (parsed === null) return;
      if ('problem' in parsed) warn(parsed.problem);
      // It would be obeyed anew with every connection.
      else if (retained) warn(`a retained message on ${JSON.stringify(topic)} is not obeyed: send it without retain`);
      else
        obey(parsed.camera, parsed.command).catch((error: unknown) =>
          warn(`${parsed.command.kind} of "${parsed.camera}": ${describeError(error)}`),
        );
    }
  };

  const connection = new Connection({
    address,
    log,
    scope,
    will: { topic: topics.status, payload: 'offline' },
    subscriptions: [
      topics.status,
      ...COMMANDS.map((command) => `${topics.prefix}/+/${command}/set`),
      ...(config.discovery ? [topics.homeAssistantStatus, topics.discoveryOfAll] : []),
    ],
    onSession: (session: Session) => {
      board.attach(session);
      reporter.attach(session);
      outbox.attach(session);
    },
    onMessage,
    ...(timing.retry === undefined ? {} : { retry: timing.retry }),
  });
  scope.defer(() => connection.close('offline'));

  scope.defer(
    events.onEvent((event) => {
      const message = eventMessage(event);
      outbox.put(message);
      if (message.detection === 'cry') today.take(message);
      reporter.takeEvent(message);
      if (message.state === 'started') void snapshots.take(message.camera);
    }),
  );
  scope.defer(events.onLevel((level) => reporter.takeLevel(level)));
  watchEars(env, reporter, scope, timing.tickMs ?? TICK_MS);
  if (config.discovery) scope.after(timing.sweepMs ?? SWEEP_MS, () => leftovers.sweep(board, reporter.cameras));
  void listening
    .then(() => connection.run())
    .catch((error: unknown) => log.error(`MQTT has stopped: ${describeError(error)}`));
}

/** Our folder; null where nothing can be kept, which is told. */
async function folderOf({ dataDir, log }: Env): Promise<string | null> {
  if (dataDir === null) return null;
  try {
    return await makeDataFolder(dataDir, 'mqtt');
  } catch (error) {
    log.error(`events that wait for the broker are kept in memory only: ${describeError(error)}`);
    return null;
  }
}

/** Reports now and then, and at once when an ear changes; whoever listens may come later than we do. */
function watchEars({ events }: Env, reporter: Reporter, scope: Scope, tickMs: number): void {
  let watched = events.ears;
  let unwatch = watched?.onChange((ear) => reporter.takeEar(ear));
  scope.defer(() => unwatch?.());
  const tick = (): void => {
    if (events.ears !== watched) {
      unwatch?.();
      watched = events.ears;
      unwatch = watched?.onChange((ear) => reporter.takeEar(ear));
    }
    reporter.tick();
  };
  tick();
  scope.every(tickMs, tick);
}

/** Does what is asked on `…/set`. @throws HearthcamError 404 for a camera that is not known */
function commander({ events, hub }: Env, reporter: Reporter, snapshots: Snapshots) {
  return async (camera: string, command: Command): Promise<void> => {
    switch (command.kind) {
      case 'listening':
        earsOf(events.ears).setListening(camera, command.on);
        break;
      case 'sensitivity':
        earsOf(events.ears).setSensitivity(camera, command.sensitivity);
        break;
      case 'snapshot':
        hub.require(camera);
        await snapshots.take(camera);
        return;
    }
    const ear = events.ears?.all().find((one) => one.camera === camera);
    // Told even when it was so already: a switch that was moved goes back by itself otherwise.
    if (ear !== undefined) reporter.takeEar(ear);
  };
}

function earsOf(ears: Ears | null): Ears {
  if (ears === null) throw new HearthcamError('mqtt.deaf', 'nothing listens to any camera', { status: 404 });
  return ears;
}
