import type { Consumer } from '../core/consumer.ts';
import { describeError } from '../core/errors.ts';
import type { Track } from '../core/media.ts';
import type { Producer } from '../core/producer.ts';
import { REMAKER, type Refusal } from '../core/remaking.ts';
import type { Stream } from '../core/stream.ts';
import { type CodecInfo, codecInfo, sourceMedia, talkMedia, wantMedia } from './codec-names.ts';

/** The objects of `/api/streams` (compatibility.md 1.2). Every field that says nothing is left out, `url` never. */

export interface ReceiverInfo {
  readonly id: number;
  readonly codec: CodecInfo;
  readonly childs?: readonly number[] | undefined;
  readonly bytes?: number | undefined;
  readonly packets?: number | undefined;
}

export interface ProducerInfo {
  readonly id?: number | undefined;
  readonly format_name?: string | undefined;
  readonly protocol?: string | undefined;
  readonly remote_addr?: string | undefined;
  /** The source as configured, also while it is active: Home Assistant compares it with what it put. */
  readonly url: string;
  readonly sdp?: string | undefined;
  readonly user_agent?: string | undefined;
  readonly medias?: readonly string[] | undefined;
  readonly receivers?: readonly ReceiverInfo[] | undefined;
  readonly bytes_recv?: number | undefined;
  readonly reconnects?: number | undefined;
  /** Why the camera gives nothing at the moment. */
  readonly error?: string | undefined;
}

export interface SenderInfo {
  readonly id: number;
  readonly codec: CodecInfo;
  readonly parent?: number | undefined;
  readonly bytes?: number | undefined;
  readonly packets?: number | undefined;
  readonly drops?: number | undefined;
}

export interface ConsumerInfoJson {
  readonly id: number;
  readonly format_name: string;
  readonly protocol?: string | undefined;
  readonly remote_addr?: string | undefined;
  readonly user_agent?: string | undefined;
  readonly medias?: readonly string[] | undefined;
  readonly senders?: readonly SenderInfo[] | undefined;
  readonly bytes_send?: number | undefined;
  readonly details?: Readonly<Record<string, string | number>> | undefined;
  /** Why it does not get a track that it asked for, and what would give it. */
  readonly refused?: readonly Refusal[] | undefined;
}

export interface StreamJson {
  /** Null: no source. */
  readonly producers: readonly ProducerInfo[] | null;
  /** Null: nobody ever asked. */
  readonly consumers: readonly ConsumerInfoJson[] | null;
}

/** Masks what must not be shown. */
export type Show = (text: string) => string;

/** Ids of receivers and senders are made here; those of producers and consumers come from the hub and are small. */
const FIRST_ID = 1_000_000;

/**
 * Streams, producers and consumers in the shape of go2rtc's `/api/streams` (compatibility.md 1.2), sources masked by
 * `show`.
 */
export class StreamDescriber {
  readonly #show: Show;
  readonly #receiverIds = new WeakMap<Track, number>();
  readonly #senderIds = new WeakMap<Consumer, Map<number, number>>();
  #lastId = FIRST_ID;

  constructor(show: Show) {
    this.#show = show;
  }

  /** @param withTalk also what the cameras take to be spoken to, as far as that is known */
  stream(stream: Stream, withTalk = true): StreamJson {
    // What is made from the stream is shown as a source of it, and who watches that as one of its viewers.
    const all = [stream, ...stream.derived].map((one) => ({
      producers: one.producers.map((producer) => this.#producer(producer, one, [...one.consumers], withTalk)),
      consumers: [...one.consumers]
        .filter((consumer) => consumer.formatName !== REMAKER)
        .map((one) => this.consumer(one)),
    }));
    return {
      producers: stream.producers.length === 0 ? null : all.flatMap(({ producers }) => producers),
      consumers: stream.everUsed ? all.flatMap(({ consumers }) => consumers) : null,
    };
  }

  consumer(consumer: Consumer): ConsumerInfoJson {
    return {
      id: consumer.id,
      format_name: consumer.formatName,
      protocol: text(consumer.protocol),
      remote_addr: text(consumer.remoteAddr),
      user_agent: text(consumer.userAgent),
      medias: list(consumer.wants.map(wantMedia)),
      senders: list(consumer.tracks.map((track, index) => this.#sender(consumer, track, index === 0))),
      bytes_send: count(consumer.bytesSent),
      details: consumer.details,
      refused: list(consumer.refused),
    };
  }

  #producer(producer: Producer, stream: Stream, consumers: readonly Consumer[], withTalk: boolean): ProducerInfo {
    const talk = withTalk ? (stream.talk.known(producer) ?? []).map(talkMedia) : [];
    const url = this.#show(producer.spec.text);
    const { description } = producer;
    const error =
      producer.state === 'running' || !producer.started || producer.lastError === undefined
        ? undefined
        : this.#show(describeError(producer.lastError));
    if (description === undefined) return { url, medias: list(talk), error };
    const tracks = stream.tracks.filter((track) => producer.trackIds.includes(track.id));
    return {
      id: producer.id,
      format_name: description.formatName,
      protocol: text(description.protocol),
      remote_addr: text(description.remoteAddr),
      url,
      sdp: text(description.sdp === undefined ? undefined : this.#show(description.sdp)),
      user_agent: text(description.userAgent),
      medias: list([...description.tracks.map(sourceMedia), ...talk]),
      receivers: list(tracks.map((track) => this.#receiver(track, consumers))),
      bytes_recv: count(producer.bytesReceived),
      reconnects: count(producer.reconnects),
      error,
    };
  }

  #receiver(track: Track, consumers: readonly Consumer[]): ReceiverInfo {
    const childs = consumers
      .filter((consumer) => consumer.tracks.includes(track))
      .map((consumer) => this.#senderId(consumer, track));
    return {
      id: this.#receiverId(track),
      codec: codecInfo(track),
      childs: list(childs),
      bytes: count(track.bytes),
      packets: count(track.units),
    };
  }

  /** A viewer's account is kept as a whole, not per track: it stands with the first one. */
  #sender(consumer: Consumer, track: Track, first: boolean): SenderInfo {
    return {
      id: this.#senderId(consumer, track),
      codec: codecInfo(track),
      parent: this.#receiverId(track),
      bytes: first ? count(consumer.bytesSent) : undefined,
      packets: first ? count(consumer.unitsSent) : undefined,
      drops: first ? count(consumer.unitsDropped) : undefined,
    };
  }

  #receiverId(track: Track): number {
    let id = this.#receiverIds.get(track);
    if (id === undefined) {
      id = ++this.#lastId;
      this.#receiverIds.set(track, id);
    }
    return id;
  }

  #senderId(consumer: Consumer, track: Track): number {
    let ids = this.#senderIds.get(consumer);
    if (ids === undefined) {
      ids = new Map();
      this.#senderIds.set(consumer, ids);
    }
    let id = ids.get(track.id);
    if (id === undefined) {
      id = ++this.#lastId;
      ids.set(track.id, id);
    }
    return id;
  }
}

/** JSON leaves out what is undefined. */
function text(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
function count(value: number): number | undefined {
  return value === 0 ? undefined : value;
}
function list<T>(values: readonly T[]): readonly T[] | undefined {
  return values.length === 0 ? undefined : values;
}
