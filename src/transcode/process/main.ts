import { describeError } from '../../core/errors.ts';
import { openServerLink } from '../../core/process/helper-child.ts';
import type { IpcMessage } from '../../core/process/ipc.ts';
import { isOrder } from '../pipeline-protocol.ts';
import { type CodecAnswer, type Job, JobError, parseJob } from '../protocol.ts';
import type { Pipelines } from './pipelines.ts';

/**
 * The codec process: does jobs (stills) one after the other, and works for pipes. The only program of Hearthcam that
 * loads FFmpeg's libraries, so that a picture which crashes them costs a restart of this and nothing else.
 */
interface Work {
  readonly job: (job: Job) => Buffer;
  readonly pipelines: Pipelines;
}

let work: Work | undefined;
const early: IpcMessage[] = [];
const link = openServerLink((message) => {
  if (work === undefined) early.push(message);
  else run(work, message);
});

function answer(reply: CodecAnswer): void {
  if (reply.type === 'done') link.send({ type: reply.type, id: reply.id }, reply.result);
  else link.send(reply);
}

function run({ job: doJob, pipelines }: Work, message: IpcMessage): void {
  if (isOrder(message)) {
    pipelines.take(message);
    return;
  }
  const { id, job } = parseJob(message);
  let result: Buffer;
  try {
    result = doJob(job);
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
    const { makeAnimation } = await import('./animation.ts');
    const { Pipelines: Made } = await import('./pipelines.ts');
    quietLibraries();
    const job = (one: Job): Buffer => (one.kind === 'still' ? makeStill(one) : makeAnimation(one));
    work = { job, pipelines: new Made((header, payload) => link.send(header, payload)) };
  } catch (error) {
    answer({ type: 'unavailable', message: describeError(error) });
    return;
  }
  answer({ type: 'ready' });
  for (const message of early.splice(0)) run(work, message);
}

await start();
