import { HearthcamError } from '../../core/errors.ts';
import { type RtspResponse, reasonPhrase } from '../../wire/rtsp/message.ts';
import type { RtspTarget } from './target.ts';

/** What the owner can do about an RTSP status. */
function hintFor(status: number, target: RtspTarget): string | undefined {
  switch (status) {
    case 401:
      return target.credentials === null
        ? 'put user and password into the address: user:password@ before the host'
        : 'check user and password; Tapo: use the camera account (Advanced settings in the app), not the TP-Link account; special signs in the password must be written as %40 for @, %23 for #';
    case 403:
      return 'the account may not watch this stream, or RTSP is switched off in the camera';
    case 404:
      return 'check the path behind the address; Tapo: /stream1 or /stream2, Reolink: /h264Preview_01_main or _sub';
    case 453:
    case 503:
      return 'the camera may serve no more viewers at once: close other programs that watch it';
    case 454:
      return 'the camera has forgotten the session; it is connected again';
    case 461:
      return 'try the other transport: #transport=udp or #transport=tcp';
    default:
      return undefined;
  }
}

/** A response that is not 2xx. `what` is the method, or the method and the medium. */
export function refused(what: string, response: RtspResponse, target: RtspTarget): HearthcamError {
  const { status } = response;
  const reason = response.reason === '' ? reasonPhrase(status) : response.reason;
  const hint = hintFor(status, target);
  const code = status === 401 ? 'rtsp.unauthorized' : status === 404 ? 'rtsp.path' : 'rtsp.refused';
  const text =
    status === 401
      ? target.credentials === null
        ? 'asks for user and password'
        : 'does not accept this user and password'
      : `answered ${status} ${reason.slice(0, 80)} to ${what}`;
  return new HearthcamError(code, `${target.display} ${text}`, {
    status: 502,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Node's errors of connecting and of TLS, in words. */
export function connectFailure(error: unknown, target: RtspTarget): HearthcamError {
  const cause = error instanceof Error ? error : new Error(String(error));
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : '';
  const { text, hint } = explain(code, cause.message);
  return new HearthcamError('rtsp.connect', `${target.host}:${target.port} ${text}`, {
    status: 502,
    ...(hint === undefined ? {} : { hint }),
  });
}

function explain(code: string, message: string): { text: string; hint?: string } {
  switch (code) {
    case 'ECONNREFUSED':
      return { text: 'refused the connection', hint: 'is RTSP switched on in the camera, and is the port right?' };
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
      return { text: 'cannot be reached', hint: 'is the camera on, and is its address still the same?' };
    case 'ETIMEDOUT':
      return { text: 'does not answer', hint: 'is the camera on, and is its address still the same?' };
    case 'TLS_TIMEOUT':
      return { text: 'does not answer in TLS', hint: 'is this its port for RTSP over TLS? Without TLS use rtsp://' };
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return { text: 'is not a name that can be resolved', hint: 'use the IP address, or check the DNS' };
    case 'ECONNRESET':
    case 'EPIPE':
      return { text: 'broke the connection off' };
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'EPROTO':
      return { text: `does not speak TLS (${message.slice(0, 120)})`, hint: 'use rtsp:// instead of rtsps://' };
    default:
      break;
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code)) {
    return {
      text: `has a certificate that cannot be verified (${code})`,
      hint: 'cameras sign their own: use rtspx:// instead of rtsps:// to encrypt without checking the certificate',
    };
  }
  return { text: `failed: ${message.slice(0, 200)}` };
}

/** No answer to `what` in time; `garbageBytes` came instead that are no RTSP. */
export function timedOut(what: string, timeoutMs: number, target: RtspTarget, garbageBytes: number): HearthcamError {
  const seen = garbageBytes > 0 ? `; it sent ${garbageBytes} bytes that are not RTSP` : '';
  return new HearthcamError(
    'rtsp.timeout',
    `${target.host}:${target.port} gave no answer to ${what} within ${timeoutMs / 1000} s${seen}`,
    {
      status: 504,
      hint: garbageBytes > 0 ? 'is this the RTSP port (usually 554)?' : 'restart the camera if this goes on',
    },
  );
}

/** The camera hung up without a reason; `garbageBytes` came before that are no RTSP. */
export function closedByCamera(target: RtspTarget, garbageBytes: number): HearthcamError {
  const seen = garbageBytes > 0 ? ` after ${garbageBytes} bytes that are not RTSP` : '';
  return new HearthcamError('rtsp.closed', `${target.host}:${target.port} closed the connection${seen}`, {
    status: 502,
    hint:
      garbageBytes > 0
        ? 'is this the RTSP port (usually 554)?'
        : 'the camera may serve no more viewers at once, or be starting',
  });
}
