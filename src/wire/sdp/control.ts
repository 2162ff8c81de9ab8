/** Where the SDP came from, as the response to DESCRIBE told (RFC 2326 Appendix C.1.1). */
export interface ControlBase {
  readonly contentBase: string | undefined;
  readonly contentLocation: string | undefined;
  /** The URL of the DESCRIBE, without user and password. */
  readonly requestUrl: string;
}

/** Content-Base, else Content-Location, else the URL of the request. Values that are no RTSP URL are passed over. */
export function controlBase(base: ControlBase): string {
  for (const text of [base.contentBase, base.contentLocation]) {
    const url = text?.trim();
    if (url !== undefined && isAbsolute(url)) return repaired(url);
  }
  return base.requestUrl;
}

/** The URL for PLAY and TEARDOWN: the session's `a=control` against the base. */
export function aggregateControl(base: ControlBase, control: string | undefined): string {
  return resolveControl(controlBase(base), control);
}

/**
 * The URL for SETUP of a medium. Relative ones are appended to the base, as FFmpeg and live555 do and cameras expect,
 * not resolved as RFC 3986 would: `rtsp://host/cam?channel=1` and `trackID=0` give `rtsp://host/cam?channel=1/trackID=0`.
 * A session that has an absolute control URL of its own is the base then (as in FFmpeg).
 */
export function mediaControl(
  base: ControlBase,
  sessionControl: string | undefined,
  control: string | undefined,
): string {
  const session = sessionControl?.trim();
  const from = session !== undefined && isAbsolute(session) ? repaired(session) : controlBase(base);
  return resolveControl(from, control);
}

/** @param control undefined, '' and `*` stand for the base itself */
export function resolveControl(base: string, control: string | undefined): string {
  const text = control?.trim() ?? '';
  if (text === '' || text === '*') return base;
  if (isAbsolute(text)) return repaired(text);
  if (text.startsWith('?') || base.endsWith('/') || text.startsWith('/')) {
    return base.endsWith('/') && text.startsWith('/') ? base + text.slice(1) : base + text;
  }
  return `${base}/${text}`;
}

function isAbsolute(url: string): boolean {
  return /^rtsp[a-z]?:\/\//i.test(url);
}

/** Seen from cameras: `rtsp://rtsp://host/…` (AlexxIT/go2rtc#830). */
function repaired(url: string): string {
  return url.replace(/^rtsp[a-z]?:\/\/(?=rtsp[a-z]?:\/\/)/i, '');
}
