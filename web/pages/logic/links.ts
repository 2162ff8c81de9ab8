export interface Link {
  readonly title: string;
  /** Which programs it is for. */
  readonly use: string;
  readonly urls: readonly string[];
}

export interface ServerInfo {
  /** Host as the browser reached it, without port. */
  readonly hostname: string;
  /** Port of the RTSP server; null when it is off. */
  readonly rtspPort: number | null;
}

/** Reads `/api` (compatibility.md 1.1): `rtsp.listen` is `:8554` or `127.0.0.1:8554`. */
export function parseServerInfo(value: unknown, hostname: string): ServerInfo {
  const rtsp: unknown = typeof value === 'object' && value !== null && 'rtsp' in value ? value.rtsp : null;
  const listen: unknown = typeof rtsp === 'object' && rtsp !== null && 'listen' in rtsp ? rtsp.listen : '';
  const port = typeof listen === 'string' ? Number(/:(\d+)$/.exec(listen)?.[1]) : Number.NaN;
  return { hostname, rtspPort: Number.isInteger(port) && port > 0 ? port : null };
}

/** The addresses of a stream. `http` makes an absolute URL of the server from a path and a query. */
export function linksFor(
  src: string,
  info: ServerInfo,
  http: (path: string, query: Readonly<Record<string, string>>) => string,
): Link[] {
  const links: Link[] = [];
  const host = info.hostname.includes(':') && !info.hostname.startsWith('[') ? `[${info.hostname}]` : info.hostname;
  if (info.rtspPort !== null) {
    const rtsp = `rtsp://${host}:${info.rtspPort}/${encodeURIComponent(src)}`;
    links.push({
      title: 'RTSP',
      use: 'Home Assistant (generic camera), Frigate, VLC, Scrypted, Synology, tinyCam. Second line: with AAC sound only.',
      urls: [rtsp, `${rtsp}?video&audio=aac`],
    });
  }
  links.push(
    {
      title: 'Player',
      use: 'Any browser: a wall tablet, a phone. Chooses WebRTC, MSE, HLS or MJPEG by itself.',
      urls: [http('stream.html', { src })],
    },
    {
      title: 'Still picture',
      use: 'Notifications, e-paper displays, Home Assistant’s still image. Add &width=640 for a smaller one.',
      urls: [http('api/frame.jpeg', { src })],
    },
    {
      title: 'HLS',
      use: 'iPhones, Apple TV, Android TV, Chromecast, VLC: plays nearly everywhere, one or two seconds late.',
      urls: [http('api/stream.m3u8', { src })],
    },
    {
      title: 'WebRTC (WHEP)',
      use: 'GStreamer’s whepsrc, OBS and other WHEP players; in a browser: the second line. The least delay.',
      urls: [http('api/webrtc', { src }), http('stream.html', { src, mode: 'webrtc' })],
    },
    {
      title: 'MP4',
      use: 'Recording with curl or a browser’s download; the second line ends after 15 seconds.',
      urls: [http('api/stream.mp4', { src }), http('api/stream.mp4', { src, duration: '15', filename: `${src}.mp4` })],
    },
    {
      title: 'MPEG-TS',
      use: 'ffmpeg, set-top boxes, older recorders.',
      urls: [http('api/stream.ts', { src })],
    },
    {
      title: 'MJPEG',
      use: '3D-printer pages, ESPHome displays, very old browsers. Costs the most bandwidth.',
      urls: [http('api/stream.mjpeg', { src })],
    },
    {
      title: 'In your own page',
      use: 'The player as a web component; see docs/player.md.',
      urls: [http('hearthcam-player.js', {})],
    },
  );
  return links;
}

/** Names by which only the machine itself is reached. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || /^(127\.|\[?::1\]?$)/.test(hostname);
}
