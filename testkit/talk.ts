import type { AccessUnit } from '../src/core/media.ts';
import type { TalkCall, TalkCodec } from '../src/core/source.ts';

export const PCMA_TALK: TalkCodec = { codec: 'pcma', clockRateHz: 8_000, sampleRateHz: 8_000, channels: 1 };

/** One call to a loudspeaker that a test listens to. */
export interface HeardCall {
  readonly codec: TalkCodec | undefined;
  readonly units: Pick<AccessUnit, 'format' | 'data'>[];
  readonly disposed: boolean;
  /** The camera drops out. */
  lose(): void;
}

export interface Loudspeaker {
  readonly calls: HeardCall[];
  talk(): Promise<TalkCall>;
}

/** A camera's loudspeaker that keeps what it is sent. `refuse` makes a call fail. */
export function loudspeaker(
  codecs: readonly TalkCodec[] = [PCMA_TALK],
  refuse: (call: number) => Error | undefined = () => undefined,
): Loudspeaker {
  const calls: HeardCall[] = [];
  let dials = 0;
  return {
    calls,
    talk() {
      const error = refuse(++dials);
      if (error !== undefined) return Promise.reject(error);
      const ended = Promise.withResolvers<never>();
      ended.promise.catch(() => {});
      const call: { -readonly [K in keyof HeardCall]: HeardCall[K] } = {
        codec: undefined,
        units: [],
        disposed: false,
        lose: () => ended.reject(new Error('the camera dropped out')),
      };
      return Promise.resolve({
        codecs,
        start: (codec) => {
          call.codec = codec;
          calls.push(call);
          return Promise.resolve({
            push: (unit) => call.units.push(unit),
            finish: () => Promise.resolve(),
            ended: ended.promise,
          });
        },
        [Symbol.asyncDispose]: () => {
          call.disposed = true;
          return Promise.resolve();
        },
      });
    },
  };
}
