import { ByteQueue } from '../../wire/byte-queue.ts';
import { WireError } from '../errors.ts';

/**
 * Messages between the server and its helper processes, over a socket pair: 4 bytes length of the header, 4 bytes
 * length of the payload (both big-endian), the header as JSON, the payload as it is. The header is parsed by whoever
 * receives it before it has a type.
 */
export interface IpcMessage {
  readonly header: unknown;
  readonly payload: Buffer;
}

/** The number of the file descriptor by which a child process talks to the server. */
export const IPC_FD = 3;

const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 256 * 1024;
/** An uncompressed 8K picture, for the largest thing that a helper is ever sent. */
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

/** The bytes in front of the payload. Write them and then the payload, as one burst (`cork`). */
export function encodeIpcHead(header: object, payloadBytes: number): Buffer {
  const json = Buffer.from(JSON.stringify(header), 'utf8');
  const head = Buffer.allocUnsafe(PREFIX_BYTES + json.length);
  head.writeUInt32BE(json.length, 0);
  head.writeUInt32BE(payloadBytes, 4);
  json.copy(head, PREFIX_BYTES);
  return head;
}

/** Puts messages together again from the reads of a socket. */
export class IpcReader {
  readonly #queue = new ByteQueue();

  /**
   * @returns what `chunk` completed
   * @throws WireError when the other side does not speak this; the connection is then of no more use.
   */
  push(chunk: Buffer): IpcMessage[] {
    this.#queue.push(chunk);
    const messages: IpcMessage[] = [];
    while (this.#queue.length >= PREFIX_BYTES) {
      const prefix = this.#queue.peek(PREFIX_BYTES);
      const headerBytes = prefix.readUInt32BE(0);
      const payloadBytes = prefix.readUInt32BE(4);
      if (headerBytes > MAX_HEADER_BYTES || payloadBytes > MAX_PAYLOAD_BYTES) {
        throw new WireError('ipc.size', `helper message of ${headerBytes} + ${payloadBytes} bytes is too large`, 0);
      }
      if (this.#queue.length < PREFIX_BYTES + headerBytes + payloadBytes) break;
      this.#queue.skip(PREFIX_BYTES);
      const json = this.#queue.take(headerBytes).toString('utf8');
      const payload = this.#queue.take(payloadBytes);
      messages.push({ header: parseJson(json), payload });
    }
    return messages;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WireError('ipc.json', 'the header of a helper message is not JSON', PREFIX_BYTES, { cause: error });
  }
}

/** Fields of a parsed header, checked one by one. Throws WireErrors that name the field. */
export class IpcFields {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(header: unknown) {
    if (typeof header !== 'object' || header === null || Array.isArray(header)) {
      throw new WireError('ipc.header', 'the header of a helper message is not an object', PREFIX_BYTES);
    }
    // Checked border: any non-null, non-array object can be read by string keys; each value is checked below.
    this.#fields = header as Readonly<Record<string, unknown>>;
  }

  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value !== 'string') throw wrongField(name, 'a text', value);
    return value;
  }

  /** A finite number from `min` to `max`. */
  number(name: string, min: number, max: number): number {
    const value = this.#fields[name];
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      throw wrongField(name, `a number from ${min} to ${max}`, value);
    }
    return value;
  }

  integer(name: string, min: number, max: number): number {
    const value = this.number(name, min, max);
    if (!Number.isInteger(value)) throw wrongField(name, 'a whole number', value);
    return value;
  }

  /** A list of integers from `min` to `max`. */
  integers(name: string, min: number, max: number): number[] {
    const value = this.#fields[name];
    const ok = Array.isArray(value) && value.every((one) => Number.isInteger(one) && one >= min && one <= max);
    if (!ok) throw wrongField(name, `whole numbers from ${min} to ${max}`, value);
    return value.map(Number);
  }
  /** A list of texts. */
  texts(name: string): string[] {
    const value = this.#fields[name];
    if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) {
      throw wrongField(name, 'a list of texts', value);
    }
    return value.map(String);
  }
  /** An object within the header. */
  object(name: string): IpcFields {
    const value = this.#fields[name];
    if (typeof value !== 'object' || value === null) throw wrongField(name, 'an object', value);
    return new IpcFields(value);
  }
  flag(name: string): boolean {
    const value = this.#fields[name];
    if (typeof value !== 'boolean') throw wrongField(name, 'true or false', value);
    return value;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const text = this.text(name);
    const found = values.find((value) => value === text);
    if (found === undefined) throw wrongField(name, `one of ${values.join(', ')}`, text);
    return found;
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }
}

function wrongField(name: string, expected: string, seen: unknown): WireError {
  const shown = JSON.stringify(seen) ?? 'nothing';
  return new WireError('ipc.field', `helper message: "${name}" must be ${expected}, not ${shown.slice(0, 100)}`, 0);
}
