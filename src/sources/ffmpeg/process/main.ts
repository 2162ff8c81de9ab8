import { describeError } from '../../../core/errors.ts';
import { openServerLink } from '../../../core/process/helper-child.ts';
import { encodeFromDemuxer, type FromDemuxer, type OpenOrder, parseOpen } from '../demux-protocol.ts';

/** Reads one file or address with FFmpeg's demuxers until it is over, or until the server closes the socket. */
let begun = false;
const link = openServerLink((message) => {
  if (begun) return;
  begun = true;
  void start(parseOpen(message));
});

/** A server that takes nothing more has no use for what is read. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

function send(message: FromDemuxer): void {
  if (link.waitingBytes() > MAX_WAITING_BYTES) {
    process.stderr.write('the server does not take what is read\n');
    process.exit(1);
  }
  const { header, payload } = encodeFromDemuxer(message);
  link.send(header, payload);
}

async function start(order: OpenOrder): Promise<void> {
  let reader: typeof import('./reader.ts');
  try {
    // Loaded late, so that a machine without these libraries gets an answer instead of a process that just ends.
    reader = await import('./reader.ts');
  } catch (error) {
    send({ type: 'unavailable', message: describeError(error) });
    return;
  }
  await reader.readInput(order, send);
}
