import { microphoneText, refusedText, TEXTS } from './texts.ts';

export interface TalkOptions {
  /** `…/api/webrtc?src=…` */
  readonly url: string;
  readonly iceServers: readonly RTCIceServer[];
  /** The camera listens. */
  readonly onLive: () => void;
  /** It is over otherwise than by `stop`. */
  readonly onEnd: (text: string) => void;
}

/** What was said last is still on its way through the browser when the button is let go. */
const LAST_WORD_MS = 150;

/** One time of speaking: a microphone, and a connection that does nothing but send it. The picture is not touched. */
export class TalkConnection {
  readonly #options: TalkOptions;
  readonly #abort = new AbortController();
  #pc: RTCPeerConnection | null = null;
  #microphone: MediaStream | null = null;
  #session = '';
  #stopped = false;
  #over = false;

  constructor(options: TalkOptions) {
    this.#options = options;
    // Not before whoever makes it knows it: without a microphone it is over at once.
    queueMicrotask(() => {
      this.#start().catch((error: unknown) => {
        this.#fail(error instanceof Error ? error.message : String(error));
      });
    });
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const live = this.#pc?.connectionState === 'connected';
    if (live) setTimeout(() => this.#close(), LAST_WORD_MS);
    else this.#close();
  }

  async #start(): Promise<void> {
    // Absent where the page is not secure.
    const devices: MediaDevices | undefined = navigator.mediaDevices;
    if (devices === undefined) {
      this.#fail(TEXTS.insecure);
      return;
    }
    try {
      this.#microphone = await devices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      this.#fail(microphoneText(error instanceof Error ? error.name : ''));
      return;
    }
    const [track] = this.#microphone.getAudioTracks();
    if (this.#stopped || track === undefined) {
      this.#close();
      return;
    }
    const pc = new RTCPeerConnection({ iceServers: [...this.#options.iceServers], bundlePolicy: 'max-bundle' });
    this.#pc = pc;
    pc.addTransceiver(track, { direction: 'sendonly' });
    pc.addEventListener('connectionstatechange', () => {
      if (pc.connectionState === 'connected') this.#options.onLive();
      else if (pc.connectionState === 'failed') this.#fail('The connection (UDP) to the server failed');
      else if (pc.connectionState === 'closed' || pc.connectionState === 'disconnected') {
        this.#fail('The camera doesn’t listen any more');
      }
    });
    await pc.setLocalDescription(await pc.createOffer());
    const answer = await this.#post(pc.localDescription?.sdp ?? '');
    if (answer === null) return;
    if (this.#over) this.#hangUp();
    else await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  async #post(sdp: string): Promise<string | null> {
    const { url } = this.#options;
    let response: Response;
    try {
      response = await fetch(url, {
        method: 'POST',
        body: sdp,
        headers: { 'content-type': 'application/sdp' },
        signal: this.#abort.signal,
      });
    } catch {
      this.#fail('The server can’t be reached');
      return null;
    }
    const body = await response.text();
    this.#session = /[?&]id=([\w-]+)/.exec(response.headers.get('location') ?? '')?.[1] ?? '';
    if (response.ok) return body;
    this.#fail(refusedText(response.status, body));
    return null;
  }

  #fail(text: string): void {
    const told = this.#stopped || this.#over;
    this.#stopped = true;
    this.#close();
    if (!told) this.#options.onEnd(text);
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    this.#pc?.close();
    if (this.#session === '') this.#abort.abort();
    else this.#hangUp();
  }

  /** Says so at once: the server would notice only after some seconds, and the camera is free for one at a time. */
  #hangUp(): void {
    const url = new URL(this.#options.url);
    url.search = new URLSearchParams({ id: this.#session }).toString();
    fetch(url, { method: 'DELETE', keepalive: true }).catch(() => {
      // It notices by itself, then.
    });
  }
}
