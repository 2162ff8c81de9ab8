import { openServerLink } from '../../../src/core/process/helper-child.ts';
import { IpcFields } from '../../../src/core/process/ipc.ts';

/** In the place of the program that tries hardware: a driver that does what the name of its device says. */
const link = openServerLink((message) => {
  const device = new IpcFields(message.header).text('device');
  const report = { kind: 'vaapi', device, decode: 'h264', encode: '' };
  link.send({ type: 'partial', ...report });
  // When the message is on its way.
  setTimeout(() => {
    if (device === 'crash') process.kill(process.pid, 'SIGSEGV');
    if (device === 'hang') for (;;);
    if (device === 'nonsense') link.send({ type: 'report', kind: 'abacus' });
    link.send({ type: 'report', ...report, encode: 'h264 h265' });
  }, 50);
});
