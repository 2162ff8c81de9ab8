import { watchFrames } from '../frames.ts';
import { parseNotices } from '../logic/qualities.ts';
import { type Reason, reasonFromHttp } from '../logic/reasons.ts';
import { makeVideo, play, type Transport, type TransportOptions } from './transport.ts';

export function webrtcSupported(): boolean {
  return 'RTCPeerConnection' in globalThis && 'fetch' in globalThis;
}

/**
 * WebRTC by WHEP: one POST with the offer, answered with all of the server's candidates. Our own candidates needn't be
 * sent: the server learns them from our connectivity checks (RFC 8445 §7.3.1.3), which saves the gathering.
 */
export class WebRtcTransport implements Transport {
  readonly element = makeVideo();
  readonly #options: TransportOptions;
  readonly #abort = new AbortController();
  #pc: RTCPeerConnection | null = null;
  /** Of this viewer at the server; '' where it can't be read (another origin's old server). */
  #address = '';
  #unwatch: () => void = () => {};
  #over = false;
  #lastDelayS = 0;
  #lastEmitted = 0;
  /** From the last packet of a picture to its presentation, smoothed; NaN where the browser doesn't tell. */
  #ageMs = Number.NaN;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  start(): void {
    this.#connect().catch((error: unknown) => {
      this.#fail({ kind: 'network', text: error instanceof Error ? error.message : String(error) });
    });
  }

  stop(): void {
    this.#over = true;
    this.#abort.abort();
    this.#unwatch();
    this.element.pause();
    this.#pc?.close();
    this.#pc = null;
  }

  goLive(): void {
    if (this.element.paused && !this.#over) play(this.element);
  }

  async latencyS(): Promise<number | null> {
    const stats = await this.#pc?.getStats();
    if (stats === undefined) return null;
    let jitterS: number | null = null;
    let rttS = 0;
    for (const report of readStats(stats)) {
      if (report['type'] === 'inbound-rtp' && report['kind'] === 'video') {
        const delayS = number(report['jitterBufferDelay']) + number(report['totalDecodeTime']);
        const emitted = number(report['jitterBufferEmittedCount']);
        if (emitted > this.#lastEmitted) jitterS = (delayS - this.#lastDelayS) / (emitted - this.#lastEmitted);
        this.#lastDelayS = delayS;
        this.#lastEmitted = emitted;
      } else if (report['type'] === 'candidate-pair' && report['nominated'] === true) {
        rttS = number(report['currentRoundTripTime']);
      }
    }
    const waitedS = Number.isNaN(this.#ageMs) ? jitterS : this.#ageMs / 1000;
    return waitedS === null ? null : waitedS + rttS / 2;
  }

  async setQuality(name: string): Promise<boolean> {
    if (this.#address === '' || this.#over) return false;
    const url = `${this.#address}&quality=${encodeURIComponent(name)}`;
    const response = await fetch(url, { method: 'POST', signal: this.#abort.signal });
    if (!response.ok) throw new Error(reasonFromHttp(response.status, await response.text()).text);
    return true;
  }

  async #lookForNotices(): Promise<void> {
    if (this.#address === '') return;
    const response = await fetch(this.#address, { signal: this.#abort.signal });
    if (!response.ok) return;
    for (const notice of parseNotices(await response.json())) this.#options.events.notice(notice);
  }

  #note(ageMs: number): void {
    if (ageMs < 0 || ageMs > 60_000) return;
    this.#ageMs = Number.isNaN(this.#ageMs) ? ageMs : this.#ageMs * 0.9 + ageMs * 0.1;
  }

  async #connect(): Promise<void> {
    const { server, src, media, iceServers, quality, events } = this.#options;
    const pc = new RTCPeerConnection({ iceServers: [...iceServers], bundlePolicy: 'max-bundle' });
    this.#pc = pc;
    const picture = new MediaStream();
    if (media.video) pc.addTransceiver('video', { direction: 'recvonly' });
    if (media.audio) pc.addTransceiver('audio', { direction: 'recvonly' });
    pc.addEventListener('track', (event) => picture.addTrack(event.track));
    pc.addEventListener('connectionstatechange', () => {
      if (pc.connectionState === 'failed' || pc.connectionState === 'closed') {
        this.#fail(
          pc.iceConnectionState === 'failed' || pc.iceConnectionState === 'disconnected'
            ? { kind: 'network', text: 'the WebRTC connection (UDP) to the server failed' }
            : { kind: 'ended', text: 'the WebRTC connection was closed' },
        );
      }
    });
    await pc.setLocalDescription(await pc.createOffer());
    const answer = await this.#post(server.http('api/webrtc', { src, quality }), pc.localDescription?.sdp ?? '');
    if (answer === null || this.#over) return;
    await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    if (this.#over) return;
    const received = pc.getTransceivers().filter((one) => one.currentDirection === 'recvonly');
    const kinds = received.map((one) => one.receiver.track.kind);
    if (media.video && !kinds.includes('video')) {
      this.#fail({ kind: 'unsupported', text: 'this browser and the camera have no video codec in common for WebRTC' });
      return;
    }
    events.media({ hasAudio: kinds.includes('audio'), codecs: '' });
    this.#unwatch = watchFrames(this.element, ({ receivedMs }) => {
      if (receivedMs !== undefined) this.#note(performance.now() - receivedMs);
      events.frame();
    });
    this.element.srcObject = picture;
    play(this.element);
    this.#lookForNotices().catch(() => {
      // The picture is what matters; without a reason there is none.
    });
  }

  async #post(url: string, sdp: string): Promise<string | null> {
    let response: Response;
    try {
      response = await fetch(url, {
        method: 'POST',
        body: sdp,
        headers: { 'content-type': 'application/sdp' },
        signal: this.#abort.signal,
      });
    } catch {
      this.#fail({ kind: 'network', text: 'the server can’t be reached' });
      return null;
    }
    const body = await response.text();
    const location = response.headers.get('location');
    if (location !== null) this.#address = new URL(location, response.url).href;
    if (response.ok) return body;
    this.#fail(reasonFromHttp(response.status, body));
    return null;
  }

  #fail(reason: Reason): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.events.failed(reason);
  }
}

/** `RTCStatsReport` is a map of plain objects whose fields TypeScript's DOM types leave open. */
function* readStats(stats: RTCStatsReport): Generator<Readonly<Record<string, unknown>>> {
  const reports: Record<string, unknown>[] = [];
  stats.forEach((report: Record<string, unknown>) => {
    reports.push(report);
  });
  yield* reports;
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
