/** Boundary of everything that we send as `multipart/x-mixed-replace`: go2rtc's (compat.md 1.4). */
export const MULTIPART_BOUNDARY = 'frame';
export const MULTIPART_CONTENT_TYPE = `multipart/x-mixed-replace; boundary=${MULTIPART_BOUNDARY}`;

const END = Buffer.from('\r\n', 'latin1');

/** JPEG files as parts in one new buffer. */
export function writeJpegParts(pictures: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  for (const picture of pictures) {
    const head = `--${MULTIPART_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: ${picture.length}\r\n\r\n`;
    parts.push(Buffer.from(head, 'latin1'), picture, END);
  }
  return Buffer.concat(parts);
}
