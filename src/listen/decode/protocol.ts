import { IpcFields, type IpcMessage } from '../../core/process/ipc.ts';

/** What is asked of the process that decodes a file: to open it, which gives the first piece, and each next piece. */
export type DecodeOrder = { readonly type: 'open'; readonly path: string } | { readonly type: 'read' };

export type Decoded =
  | {
      readonly type: 'sound';
      readonly rateHz: number;
      readonly channels: number;
      readonly atS: number;
      readonly samples: Int16Array;
    }
  | { readonly type: 'end' }
  | { readonly type: 'failed'; readonly message: string };

/** @throws WireError */
export function parseDecodeOrder({ header }: IpcMessage): DecodeOrder {
  const fields = new IpcFields(header);
  const type = fields.oneOf('type', ['open', 'read']);
  return type === 'open' ? { type, path: fields.text('path') } : { type };
}

/** @throws WireError */
export function parseDecoded({ header, payload }: IpcMessage): Decoded {
  const fields = new IpcFields(header);
  const type = fields.oneOf('type', ['sound', 'end', 'failed']);
  if (type === 'end') return { type };
  if (type === 'failed') return { type, message: fields.text('message') };
  // Copied into memory of its own, which is aligned for numbers of two bytes.
  const bytes = new Uint8Array(payload.length & ~1);
  bytes.set(payload.subarray(0, bytes.length));
  return {
    type,
    rateHz: fields.integer('rateHz', 1, 1_000_000),
    channels: fields.integer('channels', 1, 2),
    atS: fields.number('atS', -1e9, 1e9),
    samples: new Int16Array(bytes.buffer),
  };
}
