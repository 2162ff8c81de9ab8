import { z } from 'zod';

/** A level or several, of what may be in a topic that is published to. */
const topicPrefix = z
  .string()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be in a topic
  .regex(/^[^+#/\u0000-\u001f]+(?:\/[^+#/\u0000-\u001f]+)*$/, 'must be levels of a topic, without + and #');

const port = z.number().int().min(1).max(65_535);

export const mqttConfig = z
  .object({
    url: z
      .string()
      .regex(/^(?:mqtts?|wss?):\/\/[^/\s]+/i, 'must begin with mqtt://, mqtts://, ws:// or wss://')
      .refine((text) => URL.canParse(text), 'is no address')
      .optional()
      .describe('The broker: mqtt://host:1883, mqtts://host:8883, ws://host/mqtt or wss://host/mqtt.'),
    host: z.string().min(1).optional().describe('Instead of url: the host of the broker.'),
    port: port.optional().describe('With host; default 1883, with tls 8883.'),
    username: z.string().optional().describe('User at the broker.'),
    password: z.string().optional().describe('Password at the broker.'),
    client_id: z.string().max(120).optional().describe('Name of this client at the broker; made up where absent.'),
    prefix: topicPrefix.default('hearthcam').describe('First levels of all topics; each server needs its own.'),
    discovery: z.boolean().default(true).describe('Tell Home Assistant about the cameras.'),
    discovery_prefix: topicPrefix.default('homeassistant').describe('Where Home Assistant looks for devices.'),
    embedded: z
      .union([z.boolean(), z.object({ port: port.default(1883).describe('Port on the loopback address.') })])
      .default(false)
      .describe('Start a broker inside, for programs on this machine, where there is no other one.'),
    tls: z
      .object({
        ca: z.string().optional().describe('File with the certificate that the broker’s own is signed by.'),
        cert: z.string().optional().describe('File with the certificate of this client.'),
        key: z.string().optional().describe('File with the key of that certificate.'),
      })
      .optional()
      .describe('For encrypted connections: certificates, as names of PEM files.'),
  })
  .default({ prefix: 'hearthcam', discovery: true, discovery_prefix: 'homeassistant', embedded: false });

export type MqttConfig = z.infer<typeof mqttConfig>;

/** Where the broker is and who we are there. */
export interface BrokerAddress {
  readonly url: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly clientId: string | undefined;
  /** PEM files. */
  readonly tls: {
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  };
}

/** The port of the embedded broker; null where none is wanted. */
export function embeddedPort({ embedded }: MqttConfig): number | null {
  if (embedded === false) return null;
  return embedded === true ? 1883 : embedded.port;
}

/** The broker to connect to: the configured one, else the embedded one; null where there is none. */
export function brokerAddress(config: MqttConfig): BrokerAddress | null {
  const { url, host, username, password, client_id: clientId, tls = {} } = config;
  const own = { username, password, clientId, tls };
  if (url !== undefined) return { ...own, ...withoutLogin(url, username, password) };
  if (host !== undefined) {
    const secure = config.tls !== undefined;
    const bare = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
    return { ...own, url: `${secure ? 'mqtts' : 'mqtt'}://${bare}:${config.port ?? (secure ? 8883 : 1883)}` };
  }
  const inside = embeddedPort(config);
  return inside === null ? null : { ...own, url: `mqtt://127.0.0.1:${inside}` };
}

/** A login in the address is taken out of it: the address is shown in the log. */
function withoutLogin(text: string, username: string | undefined, password: string | undefined) {
  const found = /^([a-z]+:\/\/)([^/@]*)@(.*)$/i.exec(text);
  if (found === null) return { url: text };
  const [, scheme = '', login = '', rest = ''] = found;
  const [user = '', ...secret] = login.split(':');
  return {
    url: scheme + rest,
    username: username ?? unescaped(user),
    password: password ?? (secret.length > 0 ? unescaped(secret.join(':')) : undefined),
  };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
