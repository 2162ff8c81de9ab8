/** Boundary of everything that we send as `multipart/x-mixed-replace`: go2rtc's (compatibility.md 1.4). */
const MULTIPART_BOUNDARY = 'frame';
export const MULTIPART_CONTENT_TYPE = `multipart/x-mixed-replace; boundary=${MULTIPART_BOUNDARY}`;

/** What stands before the first part. */
export const MULTIPART_BEGIN = Buffer.from(`--${MULTIPART_BOUNDARY}\r\n`, 'latin1');
const END = Buffer.from(`\r\n--${MULTIPART_BOUNDARY}\r\n`, 'latin1');

/**
 * JPEG files as parts in one new buffer, behind `MULTIPART_BEGIN` or other parts. Each ends with the delimiter of the
 * next: readers that don't look at Content-Length know only then that a picture is whole.
 */
export function writeJpegParts(pictures: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  for (const picture of pictures) {
    const head = `Content-Type: image/jpeg\r\nContent-Length: ${picture.length}\r\n\r\n`;
    parts.push(Buffer.from(head, 'latin1'), picture, END);
  }
  return Buffer.concat(parts);
}
