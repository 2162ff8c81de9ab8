import type { Page } from 'playwright-core';

/** What a viewer in the browser sees, by its video element and WebRTC's own statistics. */
export interface ViewerReport {
  readonly state: string;
  readonly width: number;
  readonly height: number;
  readonly framesDecoded: number;
  readonly packetsLost: number;
  readonly nacks: number;
  readonly audioEnergy: number;
  readonly audioPackets: number;
  /** `video/H264`, `audio/PCMA`, … of what arrives. */
  readonly codecs: readonly string[];
  readonly firstPictureMs: number;
  readonly jitterBufferS: number;
  readonly messages: readonly string[];
}

/**
 * Runs in the page. `view` watches by WHEP or by one of the two WebSocket dialects, `report` tells what arrives,
 * `publish` sends a moving canvas and a tone by WHIP.
 */
const SCRIPT = `
const viewers = [];
window.viewers = viewers;
function newViewer(kinds, config) {
  const pc = new RTCPeerConnection(config);
  for (const kind of kinds) pc.addTransceiver(kind, { direction: 'recvonly' });
  const video = document.createElement('video');
  video.autoplay = true;
  video.muted = true;
  document.body.append(video);
  const picture = new MediaStream();
  video.srcObject = picture;
  pc.ontrack = (event) => picture.addTrack(event.track);
  const viewer = { pc, video, messages: [], startMs: 0, firstPictureMs: 0 };
  video.requestVideoFrameCallback(() => { viewer.firstPictureMs = performance.now() - viewer.startMs; });
  viewers.push(viewer);
  return viewer;
}
window.viewWhep = async (src, kinds, exchange) => {
  const viewer = newViewer(kinds);
  await viewer.pc.setLocalDescription(await viewer.pc.createOffer());
  viewer.startMs = performance.now();
  const offer = viewer.pc.localDescription.sdp;
  const response = exchange ? await window[exchange](offer) : await (await fetch('/api/webrtc?src=' + src, {
    method: 'POST', headers: { 'content-type': 'application/sdp' }, body: offer,
  })).text();
  await viewer.pc.setRemoteDescription({ type: 'answer', sdp: response });
  return viewers.length - 1;
};
window.viewRelay = async (src, server) => {
  const viewer = newViewer(['video'], { iceServers: [server], iceTransportPolicy: 'relay' });
  const { pc } = viewer;
  const gathered = new Promise((resolve) => { pc.onicecandidate = ({ candidate }) => { if (candidate) resolve(); }; });
  await pc.setLocalDescription(await pc.createOffer());
  await gathered;
  viewer.startMs = performance.now();
  const response = await fetch('/api/webrtc?src=' + src, {
    method: 'POST', headers: { 'content-type': 'application/sdp' }, body: pc.localDescription.sdp,
  });
  await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  return viewers.length - 1;
};
window.viewSocket = async (src, kinds, dialect) => {
  const viewer = newViewer(kinds);
  const { pc, messages } = viewer;
  const ws = new WebSocket('/api/ws?src=' + src);
  await new Promise((resolve, reject) => { ws.onopen = resolve; ws.onerror = reject; });
  viewer.ws = ws;
  const done = new Promise((resolve, reject) => {
    ws.onmessage = async (event) => {
      const { type, value } = JSON.parse(event.data);
      messages.push(type);
      if (type === 'webrtc/answer') { await pc.setRemoteDescription({ type: 'answer', sdp: value }); resolve(); }
      if (type === 'webrtc') { await pc.setRemoteDescription(value); resolve(); }
      if (type === 'webrtc/candidate') await pc.addIceCandidate({ candidate: value, sdpMid: '0' });
      if (type === 'error') reject(new Error(value));
    };
  });
  pc.onicecandidate = (event) => ws.send(JSON.stringify({ type: 'webrtc/candidate', value: event.candidate?.candidate ?? '' }));
  const offer = await pc.createOffer();
  // As some clients do: candidates, and the end of them, before the offer.
  ws.send(JSON.stringify({ type: 'webrtc/candidate', value: 'candidate:1 1 udp 2113937151 0e4c2b3a-1111-4222-8333-444455556666.local 50000 typ host' }));
  ws.send(JSON.stringify({ type: 'webrtc/candidate', value: '' }));
  await pc.setLocalDescription(offer);
  viewer.startMs = performance.now();
  ws.send(JSON.stringify(dialect === 2
    ? { type: 'webrtc', value: { type: 'offer', sdp: offer.sdp, ice_servers: [{ urls: ['stun:127.0.0.1:3478'] }] } }
    : { type: 'webrtc/offer', value: offer.sdp }));
  await done;
  return viewers.length - 1;
};
window.closeSocket = (index) => viewers[index].ws.close();
window.unmute = (index) => { viewers[index].video.muted = false; };
window.leave = (index) => viewers[index].pc.close();
window.report = async (index) => {
  const { pc, video, messages, firstPictureMs } = viewers[index];
  const stats = [...(await pc.getStats()).values()];
  const of = (kind) => stats.find((one) => one.type === 'inbound-rtp' && one.kind === kind) ?? {};
  const v = of('video');
  const a = of('audio');
  return {
    state: pc.connectionState,
    width: video.videoWidth,
    height: video.videoHeight,
    framesDecoded: v.framesDecoded ?? 0,
    packetsLost: v.packetsLost ?? 0,
    nacks: v.nackCount ?? 0,
    audioEnergy: a.totalAudioEnergy ?? 0,
    audioPackets: a.packetsReceived ?? 0,
    codecs: [v, a].flatMap((one) => stats.find((codec) => codec.id === one.codecId)?.mimeType ?? []),
    firstPictureMs,
    jitterBufferS: (v.jitterBufferDelay ?? 0) / Math.max(1, v.jitterBufferEmittedCount ?? 0),
    messages,
  };
};
window.publish = async (dst, withSsrcs) => {
  const canvas = document.createElement('canvas');
  canvas.width = 640;
  canvas.height = 360;
  const context = canvas.getContext('2d');
  let at = 0;
  setInterval(() => {
    context.fillStyle = 'navy';
    context.fillRect(0, 0, 640, 360);
    context.fillStyle = 'white';
    context.fillRect(at = (at + 5) % 600, 100, 40, 40);
  }, 40);
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const out = audio.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  const media = new MediaStream([...canvas.captureStream(25).getTracks(), ...out.stream.getTracks()]);
  const pc = new RTCPeerConnection();
  for (const track of media.getTracks()) pc.addTransceiver(track, { direction: 'sendonly' });
  await pc.setLocalDescription(await pc.createOffer());
  const response = await fetch('/api/webrtc?dst=' + dst, {
    method: 'POST', headers: { 'content-type': 'application/sdp' },
    body: withSsrcs ? pc.localDescription.sdp : pc.localDescription.sdp.replace(/a=ssrc.*\\r\\n/g, ''),
  });
  await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  return { status: response.status, location: response.headers.get('location') };
};
`;

/** The page's functions, to be called by the test. */
export class WebrtcPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  static async open(page: Page): Promise<WebrtcPage> {
    await page.evaluate(SCRIPT);
    return new WebrtcPage(page);
  }

  /**
   * Watches by WHEP. Gives the viewer's number.
   * @param exchange name of an exposed function that takes the offer and gives the answer, instead of a POST
   */
  whep(src: string, kinds: readonly string[], exchange?: string): Promise<number> {
    return this.#call('viewWhep', src, kinds, exchange);
  }

  /** Watches by WHEP, with all that it sends and receives going through a TURN server. */
  whepByRelay(
    src: string,
    server: { readonly urls: readonly string[]; readonly username: string; readonly credential: string },
  ): Promise<number> {
    return this.#call('viewRelay', src, server);
  }

  /** Watches by WebSocket: dialect 1 as go2rtc's cards speak it, 2 as Home Assistant does. */
  socket(src: string, kinds: readonly string[], dialect: 1 | 2): Promise<number> {
    return this.#call('viewSocket', src, kinds, dialect);
  }

  closeSocket(viewer: number): Promise<void> {
    return this.#call('closeSocket', viewer);
  }
  unmute(viewer: number): Promise<void> {
    return this.#call('unmute', viewer);
  }
  leave(viewer: number): Promise<void> {
    return this.#call('leave', viewer);
  }
  report(viewer: number): Promise<ViewerReport> {
    return this.#call('report', viewer);
  }
  /** Publishes picture and sound by WHIP; without `ssrcs` its offer names none, as those of other programs. */
  publish(dst: string, { ssrcs = true } = {}): Promise<{ status: number; location: string | null }> {
    return this.#call('publish', dst, ssrcs);
  }

  #call<T>(name: string, ...args: readonly unknown[]): Promise<T> {
    return this.page.evaluate(`window.${name}(...${JSON.stringify(args)})`);
  }
}
