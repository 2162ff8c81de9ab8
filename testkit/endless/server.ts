import { HelperProcess } from '../../src/core/process/helper.ts';
import { MemoryLog } from '../memory-log.ts';

/** A server with a helper that hangs; prints the helper's process id once it does. */
const helper = new HelperProcess({
  name: 'endless',
  folder: '../testkit/endless',
  log: new MemoryLog(),
  onMessage: () => process.stdout.write(`${helper.pid}\n`),
  onExit: () => process.exit(1),
});
helper.send({ type: 'go' });
