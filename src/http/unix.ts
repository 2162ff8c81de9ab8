import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';

const ANSWER_MS = 1_000;

/**
 * Removes the socket that a program which was killed has left behind: nobody could listen under its name again. One
 * that somebody listens on stays, as does a file of any other kind.
 */
export async function removeDeadSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() !== true || (await answers(path))) return;
  await unlink(path).catch(() => {});
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const done = (alive: boolean): void => {
      socket.destroy();
      resolve(alive);
    };
    socket.setTimeout(ANSWER_MS, () => done(true));
    socket.once('connect', () => done(true));
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code !== 'ECONNREFUSED'));
  });
}
