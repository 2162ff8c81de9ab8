import { createHash } from 'node:crypto';

/**
 * A name as one level of a topic: what would end the level or be a wildcard (MQTT 3.1.1, 4.7.1) and control characters
 * (1.5.3) are written as in URLs, so that two cameras never share a topic.
 */
export function topicLevel(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be in a topic
  return name.replace(/[/+#%\u0000-\u001f\u007f-\u009f]/g, (char) => encodeURIComponent(char));
}

/** The name that `topicLevel` made a level of; null where it made none. */
export function nameOfLevel(level: string): string | null {
  try {
    const name = decodeURIComponent(level);
    return topicLevel(name) === level ? name : null;
  } catch {
    return null;
  }
}

/** As Home Assistant allows it in identifiers and in discovery topics: `[a-zA-Z0-9_-]+`, different for different names. */
export function identifier(name: string): string {
  const safe = name.replace(/[^a-zA-Z0-9_-]/g, '_');
  return safe === name && name !== '' ? name : `${safe}_${createHash('sha256').update(name).digest('hex').slice(0, 6)}`;
}

/** All topics of one server. */
export class Topics {
  readonly prefix: string;
  readonly discoveryPrefix: string;

  constructor(prefix: string, discoveryPrefix: string) {
    this.prefix = prefix;
    this.discoveryPrefix = discoveryPrefix;
  }

  /** `online`, `offline`: retained, and the last will. */
  get status(): string {
    return `${this.prefix}/status`;
  }
  /** Events of all cameras. */
  get events(): string {
    return `${this.prefix}/events`;
  }
  /** Home Assistant's birth and last will. */
  get homeAssistantStatus(): string {
    return `${this.discoveryPrefix}/status`;
  }

  of(camera: string): CameraTopics {
    return new CameraTopics(`${this.prefix}/${topicLevel(camera)}`);
  }

  /** What a device is called in Home Assistant's registry; with the prefix, since several servers may share a broker. */
  deviceId(camera: string): string {
    return `${identifier(this.prefix)}_${identifier(camera)}`;
  }
  discovery(camera: string): string {
    return `${this.discoveryPrefix}/device/${this.deviceId(camera)}/config`;
  }
  /** Of all devices, ours and others'. */
  get discoveryOfAll(): string {
    return `${this.discoveryPrefix}/device/+/config`;
  }
}

export class CameraTopics {
  readonly base: string;

  constructor(base: string) {
    this.base = base;
  }

  /** Events of one kind, each with all its states. */
  detection(detection: string): string {
    return detection === 'cry' ? `${this.base}/cry` : `${this.base}/sound/${topicLevel(detection)}`;
  }
  /** Beginnings and ends with an `event_type`, as Home Assistant's event entity wants them. */
  get event(): string {
    return `${this.base}/event`;
  }
  get level(): string {
    return `${this.base}/level`;
  }
  /** The rest is retained. */
  get state(): string {
    return `${this.base}/state`;
  }
  /** `online` while sound is looked at. */
  get available(): string {
    return `${this.base}/available`;
  }
  get listening(): string {
    return `${this.base}/listening`;
  }
  get sensitivity(): string {
    return `${this.base}/sensitivity`;
  }
  /** A JPEG. */
  get snapshot(): string {
    return `${this.base}/snapshot`;
  }
  set(command: Command['kind']): string {
    return `${this.base}/${command}/set`;
  }
}

export type Command =
  | { readonly kind: 'listening'; readonly on: boolean }
  | { readonly kind: 'sensitivity'; readonly sensitivity: 'low' | 'balanced' | 'high' }
  | { readonly kind: 'snapshot' };

export const COMMANDS = ['listening', 'sensitivity', 'snapshot'] as const satisfies readonly Command['kind'][];
