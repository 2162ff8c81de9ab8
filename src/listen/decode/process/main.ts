import { describeError } from '../../../core/errors.ts';
import { openServerLink } from '../../../core/process/helper-child.ts';
import { parseDecodeOrder } from '../protocol.ts';
import type { SoundReader } from './reader.ts';

/** Decodes the sound of one file, a piece for each time that it is asked. */
let reader: SoundReader | undefined;
/** One order after the other. */
let last: Promise<void> = Promise.resolve();
const link = openServerLink((message) => {
  const order = parseDecodeOrder(message);
  last = last.then(async () => {
    try {
      if (order.type === 'open') {
        // Loaded late, so that a machine without these libraries gets an answer instead of a process that just ends.
        const { SoundReader } = await import('./reader.ts');
        reader = await SoundReader.open(order.path);
      }
      const piece = await reader?.read();
      if (piece === undefined) link.send({ type: 'end' });
      else link.send({ type: 'sound', rateHz: piece.rateHz, channels: piece.channels, atS: piece.atS }, piece.samples);
    } catch (error) {
      link.send({ type: 'failed', message: describeError(error) });
    }
  });
});
