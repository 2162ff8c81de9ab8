import type { IncomingMessage } from 'node:http';
import { HearthcamError } from './errors.ts';

/** Reads a request body. @throws HearthcamError 413 above `maxBytes`, 408 when it doesn't come within `timeoutMs`. */
export function readBody(request: IncomingMessage, maxBytes = 1024 * 1024, timeoutMs = 10_000): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const fail = (error: HearthcamError): void => {
      done();
      reject(error);
    };
    const timer = setTimeout(() => {
      fail(new HearthcamError('http.body.timeout', 'the request body did not arrive in time', { status: 408 }));
    }, timeoutMs);
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        request.resume();
        fail(
          new HearthcamError('http.body.size', `the request body is larger than ${maxBytes} bytes`, { status: 413 }),
        );
        return;
      }
      chunks.push(chunk);
    };
    const onEnd = (): void => {
      done();
      resolve(Buffer.concat(chunks, bytes));
    };
    const onError = (error: Error): void =>
      fail(new HearthcamError('http.body', 'the request body broke off', { status: 400, cause: error }));
    function done(): void {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('error', onError);
    }
    request.on('data', onData).on('end', onEnd).on('error', onError);
  });
}
