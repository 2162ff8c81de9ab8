import { createECDH, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeDataFolder } from '../core/data-folder.ts';
import { HearthcamError } from '../core/errors.ts';
import { encryptPush } from '../wire/webpush/encrypt.ts';
import { vapidAuthorization, vapidPublicKey } from '../wire/webpush/vapid.ts';
import type { Target } from './queue.ts';
import { SendError, send } from './send.ts';
import type { NotifySettings } from './settings.ts';
import { linkOf, wordsOf } from './targets.ts';

/** A browser may name any address as its push service; only these are written to (and those of `push.services`). */
const SERVICES = [
  /^https:\/\/fcm\.googleapis\.com$/,
  /^https:\/\/[\w-]+\.push\.services\.mozilla\.com$/,
  /^https:\/\/[\w-]+\.push\.apple\.com$/,
  /^https:\/\/[\w-]+\.notify\.windows\.com$/,
];
const FOLDER = 'notify';
const MAX_SUBSCRIPTIONS = 100;
const TIMEOUT_MS = 15_000;
/** How long a push service keeps a message for a phone that is off (RFC 8030 §5.2). */
const TTL_S = 3_600;
const TOKEN_MS = 12 * 3_600_000;

const base64url = z
  .string()
  .regex(/^[A-Za-z0-9_-]+={0,2}$/)
  .max(200);
/** `PushSubscription.toJSON()` (Push API §8). */
const subscription = z.object({
  endpoint: z.string().max(2_000),
  keys: z.object({ p256dh: base64url, auth: base64url }),
});
type Subscription = z.infer<typeof subscription>;

const kept = z.object({ privateKey: base64url, subscriptions: z.array(subscription) });
type Kept = z.infer<typeof kept>;

export interface PushOptions {
  /** Where `notify/push.json` is kept; null: in memory. */
  readonly dataDir: string | null;
  readonly settings: NotifySettings['push'];
  readonly baseUrl: string;
}

/** The server's own key and the browsers that want to be told. */
export class PushService implements Target {
  readonly name = 'push';
  readonly kind = 'push';
  readonly #options: PushOptions;
  #state: Promise<Kept> | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: PushOptions) {
    this.#options = options;
  }

  /** What browsers need to subscribe (`applicationServerKey`). */
  async publicKey(): Promise<string> {
    const { privateKey } = await this.#load();
    return vapidPublicKey(Buffer.from(privateKey, 'base64url')).toString('base64url');
  }

  async count(): Promise<number> {
    return (await this.#load()).subscriptions.length;
  }

  /** @throws HearthcamError 400 for what is no subscription of a known push service */
  async add(given: unknown): Promise<void> {
    const parsed = subscription.safeParse(given);
    if (!parsed.success) {
      throw new HearthcamError('push.subscription', 'this is no push subscription', {
        status: 400,
        cause: parsed.error,
      });
    }
    const { data } = parsed;
    const origin = URL.parse(data.endpoint)?.origin ?? '';
    if (!SERVICES.some((known) => known.test(origin)) && !this.#options.settings.services.includes(origin)) {
      throw new HearthcamError('push.service', `"${origin}" is no push service that is known here`, {
        status: 400,
        hint: 'name its origin in notify.push.services',
      });
    }
    // Wrong keys are found now, not in the night.
    encrypt(data, Buffer.from('{}'));
    const state = await this.#load();
    const others = state.subscriptions.filter((one) => one.endpoint !== data.endpoint);
    state.subscriptions = [...others, data].slice(-MAX_SUBSCRIPTIONS);
    await this.#save(state);
  }

  /** @returns whether there was one */
  async remove(endpoint: string): Promise<boolean> {
    const state = await this.#load();
    const left = state.subscriptions.filter((one) => one.endpoint !== endpoint);
    if (left.length === state.subscriptions.length) return false;
    state.subscriptions = left;
    await this.#save(state);
    return true;
  }

  /** To every browser; those that have left are forgotten. @throws SendError when none of several could be told */
  async deliver(message: Parameters<Target['deliver']>[0]): Promise<void> {
    const { baseUrl } = this.#options;
    // Nobody has ever subscribed: no key is made for that.
    if (this.#state === undefined && !existsSync(this.#path ?? '')) return;
    const { subscriptions, privateKey } = await this.#load();
    const text = Buffer.from(JSON.stringify({ ...wordsOf(message), url: linkOf(baseUrl, message), event: message }));
    const key = Buffer.from(privateKey, 'base64url');
    const results = await Promise.allSettled(subscriptions.map((one) => this.#push(one, text, key)));
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    if (failures.length > 0 && failures.length === results.length) throw failures[0];
  }

  async #push(one: Subscription, text: Buffer, key: Buffer): Promise<void> {
    const { settings } = this.#options;
    try {
      await send({
        url: one.endpoint,
        method: 'POST',
        headers: {
          'content-type': 'application/octet-stream',
          'content-encoding': 'aes128gcm',
          ttl: String(TTL_S),
          urgency: 'high',
          authorization: vapidAuthorization(key, new URL(one.endpoint).origin, settings.subject, Date.now() + TOKEN_MS),
        },
        body: encrypt(one, text),
        timeoutMs: TIMEOUT_MS,
      });
    } catch (error) {
      // RFC 8030 §7.3: the browser has unsubscribed.
      if (!(error instanceof SendError) || ![404, 410].includes(error.answer)) throw error;
      await this.remove(one.endpoint);
    }
  }

  #load(): Promise<Kept> {
    if (this.#state !== undefined) return this.#state;
    const reading = this.#read();
    this.#state = reading;
    reading.catch(() => {
      this.#state = undefined;
    });
    return reading;
  }

  get #path(): string | null {
    const { dataDir } = this.#options;
    return dataDir === null ? null : join(dataDir, FOLDER, 'push.json');
  }

  async #read(): Promise<Kept> {
    const path = this.#path;
    if (path !== null && existsSync(path)) {
      const found = kept.safeParse(await readFile(path, 'utf8').then(JSON.parse, () => null));
      if (found.success) return found.data;
    }
    const ecdh = createECDH('prime256v1');
    ecdh.generateKeys();
    // Its leading zeros are not there.
    const privateKey = Buffer.from(ecdh.getPrivateKey('hex').padStart(64, '0'), 'hex').toString('base64url');
    const made: Kept = { privateKey, subscriptions: [] };
    await this.#save(made);
    return made;
  }

  #save(state: Kept): Promise<void> {
    const write = async (): Promise<void> => {
      const { dataDir } = this.#options;
      if (dataDir === null) return;
      const path = join(await makeDataFolder(dataDir, FOLDER), 'push.json');
      await writeFile(`${path}.new`, JSON.stringify(state), { mode: 0o600 });
      await rename(`${path}.new`, path);
    };
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }
}

function encrypt({ keys }: Subscription, text: Buffer): Buffer {
  const ecdh = createECDH('prime256v1');
  ecdh.generateKeys();
  const browser = { publicKey: Buffer.from(keys.p256dh, 'base64url'), auth: Buffer.from(keys.auth, 'base64url') };
  return encryptPush(text, browser, ecdh.getPrivateKey(), randomBytes(16));
}
