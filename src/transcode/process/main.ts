import { describeError } from '../../core/errors.ts';
import { openServerLink } from '../../core/process/helper-child.ts';
import type { IpcMessage } from '../../core/process/ipc.ts';
import { type CodecAnswer, type Job, JobError, parseJob } from '../protocol.ts';

/**
 * The codec process: does one job after the other. The only program of Hearthcam that loads FFmpeg's libraries, so
 * that a picture which crashes them costs a restart of this and nothing else.
 */
let work: ((job: Job) => Buffer) | undefined;
const early: IpcMessage[] = [];
const link = openServerLink((message) => {
  if (work === undefined) early.push(message);
  else run(work, message);
});

function answer(reply: CodecAnswer): void {
  if (reply.type === 'done') link.send({ type: reply.type, id: reply.id }, reply.result);
  else link.send(reply);
}

function run(doWork: (job: Job) => Buffer, message: IpcMessage): void {
  const { id, job } = parseJob(message);
  let result: Buffer;
  try {
    result = doWork(job);
  } catch (error) {
    // Anything else is a fault of this program: let it end, the server starts it again.
    if (!(error instanceof JobError)) throw error;
    answer({ type: 'failed', id, fault: error.fault, message: error.message });
    return;
  }
  answer({ type: 'done', id, result });
}

async function start(): Promise<void> {
  try {
    // Loaded late, so that a machine without these libraries gets an answer instead of a process that just ends.
    const { makeStill, quietLibraries } = await import('./still.ts');
    quietLibraries();
    work = makeStill;
  } catch (error) {
    answer({ type: 'unavailable', message: describeError(error) });
    return;
  }
  answer({ type: 'ready' });
  for (const message of early.splice(0)) run(work, message);
}

await start();
