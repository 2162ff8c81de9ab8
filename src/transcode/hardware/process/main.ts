import { describeError } from '../../../core/errors.ts';
import { HARDWARE_KINDS } from '../../../core/hardware.ts';
import { openServerLink } from '../../../core/process/helper-child.ts';
import { IpcFields, type IpcMessage } from '../../../core/process/ipc.ts';
import { plainReport } from '../report.ts';

/** Tries the hardware that the server names, says what it does, and is then ended by the server. */
const link = openServerLink((message) => {
  run(message).catch((error: unknown) => link.send({ type: 'unavailable', message: describeError(error) }));
});

async function run(message: IpcMessage): Promise<void> {
  const fields = new IpcFields(message.header);
  const kind = fields.oneOf('kind', HARDWARE_KINDS);
  const device = fields.text('device') || null;
  // Loaded late, so that a machine without these libraries gets an answer instead of a process that just ends.
  const { tryKind } = await import('./try-kind.ts');
  const report = await tryKind(kind, device, (partial) => link.send({ type: 'partial', ...plainReport(partial) }));
  link.send({ type: 'report', ...plainReport(report) });
}
