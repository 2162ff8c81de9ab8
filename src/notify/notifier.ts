import { join } from 'node:path';
import { makeDataFolder } from '../core/data-folder.ts';
import { HearthcamError } from '../core/errors.ts';
import { type CameraEvent, type EventMessage, eventMessage, newEventId } from '../core/events.ts';
import type { Log } from '../core/log.ts';
import type { Scope } from '../core/scope.ts';
import { PushService } from './push.ts';
import { DeliveryQueue, type Target } from './queue.ts';
import { parseQuietHours, parseRateLimit, type Rule, RuleBook } from './rules.ts';
import type { NotifySettings, RuleSettings } from './settings.ts';
import { ntfy, webhook } from './targets.ts';

export interface NotifierOptions {
  readonly settings: NotifySettings;
  readonly dataDir: string | null;
  readonly product: string;
}

/** All that can be told, by name, as configured. A name that is taken is reported, and its second owner left out. */
export function makeTargets(
  options: NotifierOptions,
  report: (problem: string) => void,
): { readonly targets: ReadonlyMap<string, Target>; readonly push: PushService } {
  const { settings, product, dataDir } = options;
  const push = new PushService({ dataDir, settings: settings.push, baseUrl: settings.base_url });
  const targets = new Map<string, Target>();
  const add = (target: Target): void => {
    const { name, kind } = target;
    const other = name === push.name ? push : targets.get(name);
    if (other === undefined) targets.set(name, target);
    else report(`the ${kind} "${name}" is left out: ${other.kind} has that name already`);
  };
  for (const [name, one] of Object.entries(settings.webhooks)) add(webhook(name, one, product));
  for (const [name, one] of Object.entries(settings.ntfy)) add(ntfy(name, one, settings.base_url, product));
  targets.set(push.name, push);
  return { targets, push };
}

/** Tells one target now, without its queue. @throws HearthcamError 404 for a name that is none, 502 when it fails */
export async function sendTest(targets: ReadonlyMap<string, Target>, name: string): Promise<void> {
  const target = targets.get(name);
  if (target === undefined) {
    throw new HearthcamError('notify.unknown', `there is no "${name}" to tell`, {
      status: 404,
      hint: `there are: ${[...targets.keys()].join(', ')}`,
    });
  }
  await target.deliver(testMessage());
}

function testMessage(): EventMessage {
  const startMs = Date.now();
  return eventMessage({
    id: newEventId(startMs),
    camera: 'test',
    detection: 'cry',
    state: 'started',
    confidence: 1,
    meanConfidence: 1,
    startMs,
    durationMs: 0,
    scores: [],
    scoresFromMs: startMs,
  });
}

/** Tells those whom the rules name. */
export class Notifier {
  readonly queues: ReadonlyMap<string, DeliveryQueue>;
  readonly #rules: RuleBook;

  constructor({ settings, dataDir }: NotifierOptions, targets: ReadonlyMap<string, Target>, log: Log, scope: Scope) {
    const names = [...targets.keys()];
    const rules = (settings.rules ?? [{ states: ['started'], min_duration: 0 } satisfies RuleSettings]).map((rule) =>
      makeRule(rule, names, log),
    );
    this.#rules = new RuleBook(rules, settings.time_zone);
    const queues = new Map<string, DeliveryQueue>();
    for (const target of targets.values()) {
      const name = `waiting-${encodeURIComponent(target.name).slice(0, 100)}.json`;
      const file = (): Promise<string> | null =>
        dataDir === null ? null : makeDataFolder(dataDir, 'notify').then((folder) => join(folder, name));
      queues.set(target.name, new DeliveryQueue({ target, log, scope, file }));
    }
    this.queues = queues;
  }

  onEvent(event: CameraEvent): void {
    for (const name of this.#rules.decide(event, Date.now())) this.queues.get(name)?.push(eventMessage(event));
  }
}

function makeRule(rule: RuleSettings, names: readonly string[], log: Log): Rule {
  for (const name of rule.to ?? []) {
    if (!names.includes(name)) log.warn(`a rule names "${name}", which is not there: there are ${names.join(', ')}`);
  }
  const quiet = rule.quiet_hours ?? [];
  return {
    cameras: rule.cameras === undefined ? null : new Set(rule.cameras),
    detections: rule.detections === undefined ? null : new Set(rule.detections),
    states: new Set(rule.states),
    to: rule.to ?? names,
    quietHours: (typeof quiet === 'string' ? [quiet] : quiet).map(parseQuietHours),
    minDurationMs: rule.min_duration * 1_000,
    rateLimit: rule.rate_limit === undefined ? null : parseRateLimit(rule.rate_limit),
  };
}
