import type { Kind } from '../../core/containers/detect.ts';
import { describeStart } from '../../core/containers/feed.ts';
import { HearthcamError } from '../../core/errors.ts';

/** By what the answer says of itself, where that is to be trusted; undefined: look at the bytes. */
export function kindByType(contentType: string, path: string): Kind | undefined {
  const type = (contentType.split(';')[0] ?? '').trim().toLowerCase();
  if (type.startsWith('multipart/')) return 'multipart';
  switch (type) {
    case 'image/jpeg':
    case 'image/jpg':
      return 'still';
    case 'application/vnd.apple.mpegurl':
    case 'application/x-mpegurl':
    case 'audio/mpegurl':
    case 'audio/x-mpegurl':
      return 'hls';
    case 'audio/basic':
      return 'pcmu';
    case 'text/html':
    case 'application/xhtml+xml':
      return 'web';
    default:
      return /\.m3u8$/i.test(path) ? 'hls' : undefined;
  }
}

/** What was answered is no format that we read. */
export function unknownKind(contentType: string, head: Buffer): HearthcamError {
  const type = contentType === '' ? 'no content type' : `content type "${contentType}"`;
  const begins = head.length === 0 ? 'and is empty' : `and begins with ${describeStart(head)}`;
  return new HearthcamError('http.format', `the answer has ${type} ${begins}, which is no video that we know`, {
    status: 502,
    hint: 'known: FLV, MPEG-TS, fragmented MP4, HLS, MJPEG, JPEG, H.264, H.265, AAC, MP3, WAV',
  });
}

/** A web page was answered: a login page most of the time. */
export function webPage(where: string): HearthcamError {
  return new HearthcamError('http.web', `${where} answered with a web page instead of video`, {
    status: 502,
    hint: 'open the address in a browser: it may be the login page, or the path of the video is another one',
  });
}
