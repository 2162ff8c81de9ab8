import { Socket } from 'node:net';
import { describeError } from '../errors.ts';
import { encodeIpcHead, IPC_FD, type IpcMessage, IpcReader } from './ipc.ts';

/** The helper's end of the socket to the server that started it. */
export interface ServerLink {
  send(header: object, payload?: Buffer): void;
  /** Bytes that wait because the server does not read them. */
  waitingBytes(): number;
}

/**
 * For the main program of a helper process: receives the server's messages. Ends the process when the server closes
 * the socket or is gone, and when a message makes no sense (`onMessage` throws).
 */
export function openServerLink(onMessage: (message: IpcMessage) => void): ServerLink {
  const socket = new Socket({ fd: IPC_FD, readable: true, writable: true });
  const reader = new IpcReader();
  socket.on('data', (chunk: Buffer) => {
    try {
      for (const message of reader.push(chunk)) onMessage(message);
    } catch (error) {
      process.stderr.write(`${describeError(error)}\n`);
      process.exit(1);
    }
  });
  socket.on('end', () => process.exit(0));
  socket.on('error', () => process.exit(0));
  // Ctrl-C in a terminal reaches the whole group; the server closes the socket when it has tidied up.
  process.on('SIGINT', () => {});
  return {
    send(header, payload) {
      socket.cork();
      socket.write(encodeIpcHead(header, payload?.length ?? 0));
      if (payload !== undefined && payload.length > 0) socket.write(payload);
      socket.uncork();
    },
    waitingBytes: () => socket.writableLength,
  };
}
