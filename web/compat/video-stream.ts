import { VideoRTC } from './video-rtc.ts';

/** `<video-stream src="api/ws?src=nursery">` as pages written for go2rtc's `video-stream.js` use it. */
class VideoStream extends VideoRTC {
  /** go2rtc's texts for what is shown in the corner; here the player shows it by itself, so these only inform. */
  get divMode(): string {
    return this.player.playingMode?.toUpperCase() ?? 'loading';
  }
}

if (customElements.get('video-stream') === undefined) customElements.define('video-stream', VideoStream);

export { VideoStream };
