import type { Page } from 'playwright-core';

/** Runs in the page: somebody who speaks to a camera by WebRTC, with a tone for a voice. */
const SCRIPT = `
window.talkers = [];
function voice() {
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  tone.frequency.value = 1000;
  const gain = audio.createGain();
  gain.gain.value = 0;
  const out = audio.createMediaStreamDestination();
  tone.connect(gain).connect(out);
  tone.start();
  return { gain, track: out.stream.getAudioTracks()[0] };
}
window.speak = async (src, codec) => {
  const { gain, track } = voice();
  const pc = new RTCPeerConnection();
  const transceiver = pc.addTransceiver(track, { direction: 'sendonly' });
  if (codec) {
    const all = RTCRtpSender.getCapabilities('audio').codecs;
    transceiver.setCodecPreferences(all.filter((one) => one.mimeType.toLowerCase() === 'audio/' + codec));
  }
  await pc.setLocalDescription(await pc.createOffer());
  const response = await fetch('/api/webrtc?src=' + src, {
    method: 'POST', headers: { 'content-type': 'application/sdp' }, body: pc.localDescription.sdp,
  });
  const text = await response.text();
  if (!response.ok) return { status: response.status, text };
  await pc.setRemoteDescription({ type: 'answer', sdp: text });
  talkers.push({ pc, gain });
  return { status: response.status, text, talker: talkers.length - 1, location: response.headers.get('location') };
};
window.watchAndSpeak = async (src, getMicrophone) => {
  const { gain, track } = getMicrophone ? {} : voice();
  const own = track ?? (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks()[0];
  const pc = new RTCPeerConnection();
  const video = document.createElement('video');
  video.autoplay = video.muted = true;
  video.srcObject = new MediaStream();
  document.body.append(video);
  pc.ontrack = (event) => video.srcObject.addTrack(event.track);
  pc.addTransceiver(own, { direction: 'sendonly' });
  for (const kind of ['video', 'audio']) pc.addTransceiver(kind, { direction: 'recvonly' });
  const ws = new WebSocket('/api/ws?src=' + src);
  await new Promise((resolve, reject) => { ws.onopen = resolve; ws.onerror = reject; });
  const done = new Promise((resolve, reject) => {
    ws.onmessage = async (event) => {
      const { type, value } = JSON.parse(event.data);
      if (type === 'webrtc/answer') { await pc.setRemoteDescription({ type: 'answer', sdp: value }); resolve(value); }
      if (type === 'webrtc/candidate') await pc.addIceCandidate({ candidate: value, sdpMid: '0' });
      if (type === 'error') reject(new Error(value));
    };
  });
  pc.onicecandidate = ({ candidate }) => ws.send(JSON.stringify({ type: 'webrtc/candidate', value: candidate?.candidate ?? '' }));
  await pc.setLocalDescription(await pc.createOffer());
  ws.send(JSON.stringify({ type: 'webrtc/offer', value: pc.localDescription.sdp }));
  const text = await done;
  talkers.push({ pc, gain, video });
  return { status: 200, text, talker: talkers.length - 1 };
};
window.beep = (talker, ms) => {
  const { gain } = talkers[talker];
  gain.gain.value = 0.8;
  setTimeout(() => { gain.gain.value = 0; }, ms);
  return performance.timeOrigin + performance.now();
};
window.stopTalking = (talker) => talkers[talker].pc.close();
window.talkState = async (talker) => {
  const { pc, video } = talkers[talker];
  const stats = [...(await pc.getStats()).values()];
  const out = stats.find((one) => one.type === 'outbound-rtp' && one.kind === 'audio');
  const seen = stats.find((one) => one.type === 'inbound-rtp' && one.kind === 'video');
  return {
    state: pc.connectionState,
    codec: stats.find((one) => one.id === out?.codecId)?.mimeType ?? '',
    framesDecoded: seen?.framesDecoded ?? 0,
    width: video?.videoWidth ?? 0,
  };
};
`;

export interface TalkAnswer {
  readonly status: number;
  /** The answer's SDP, or the error. */
  readonly text: string;
  readonly talker: number;
  readonly location: string | null;
}

export interface TalkState {
  readonly state: string;
  /** `audio/PCMA`, … that is sent. */
  readonly codec: string;
  readonly framesDecoded: number;
  readonly width: number;
}

/** The page's functions, to be called by the test. */
export class TalkPage {
  readonly #page: Page;

  constructor(page: Page) {
    this.#page = page;
  }

  static async open(page: Page): Promise<TalkPage> {
    await page.evaluate(SCRIPT);
    return new TalkPage(page);
  }

  /** Speaks by a connection that does nothing else. @param codec offered alone, in lower case */
  speak(src: string, codec?: string): Promise<TalkAnswer> {
    return this.#call('speak', src, codec);
  }

  /** As go2rtc's cards do: picture, sound and microphone by one connection. */
  watchAndSpeak(src: string, microphone: boolean): Promise<TalkAnswer> {
    return this.#call('watchAndSpeak', src, microphone);
  }

  /** Makes a sound; gives the time at which it began. */
  beep(talker: number, ms: number): Promise<number> {
    return this.#call('beep', talker, ms);
  }

  stop(talker: number): Promise<void> {
    return this.#call('stopTalking', talker);
  }

  state(talker: number): Promise<TalkState> {
    return this.#call('talkState', talker);
  }

  #call<T>(name: string, ...args: readonly unknown[]): Promise<T> {
    return this.#page.evaluate(`window.${name}(...${JSON.stringify(args)})`);
  }
}
