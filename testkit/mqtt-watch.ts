import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { waitFor } from './wait.ts';

export interface SeenMessage {
  readonly topic: string;
  readonly payload: string;
  readonly bytes: Buffer;
  readonly retained: boolean;
  readonly qos: number;
}

/** A client of its own at a broker that keeps all it sees, and comes back after a restart of the broker. */
export class MqttWatch implements AsyncDisposable {
  readonly seen: SeenMessage[] = [];
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
    client.on('message', (topic, bytes, { retain, qos }) => {
      this.seen.push({ topic, payload: bytes.toString(), bytes, retained: retain, qos });
    });
    client.on('error', () => undefined);
  }

  static async connect(url: string, topics: string | string[] = '#', options: IClientOptions = {}): Promise<MqttWatch> {
    const client = await connectAsync(url, { reconnectPeriod: 50, ...options });
    const watch = new MqttWatch(client);
    await client.subscribeAsync(topics, { qos: 1 });
    return watch;
  }

  /** Messages of a topic, in order. */
  of(topic: string): readonly SeenMessage[] {
    return this.seen.filter((message) => message.topic === topic);
  }

  /** What was said last on a topic, once it is as wanted. */
  async last(topic: string, wanted: (payload: string) => boolean = () => true): Promise<string> {
    const found = await waitFor(
      () => {
        const message = this.of(topic).at(-1);
        return message !== undefined && wanted(message.payload) ? { message } : undefined;
      },
      { what: `${topic} to be as wanted` },
    );
    return found.message.payload;
  }

  get connected(): boolean {
    return this.#client.connected;
  }

  publish(topic: string, payload: string | Buffer, retain = false): Promise<unknown> {
    return this.#client.publishAsync(topic, payload, { qos: 1, retain });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }
}
