export interface PresentedFrame {
  readonly mediaTimeS: number;
  /** WebRTC, where the browser tells: `performance.now()` when the picture's last packet came. */
  readonly receivedMs: number | undefined;
}

/** Calls `onFrame` for each presented picture of a video; returns how to stop. */
export function watchFrames(video: HTMLVideoElement, onFrame: (frame: PresentedFrame) => void): () => void {
  let stopped = false;
  if ('requestVideoFrameCallback' in video) {
    let handle = 0;
    const next: VideoFrameRequestCallback = (_now, { mediaTime, receiveTime }) => {
      if (stopped) return;
      handle = video.requestVideoFrameCallback(next);
      onFrame({ mediaTimeS: mediaTime, receivedMs: receiveTime });
    };
    handle = video.requestVideoFrameCallback(next);
    return () => {
      stopped = true;
      video.cancelVideoFrameCallback(handle);
    };
  }
  // Firefox before 132: the count of decoded pictures says as much, a little later.
  const quality = video as HTMLVideoElement;
  let seen = 0;
  const timer = setInterval(() => {
    const now = quality.getVideoPlaybackQuality().totalVideoFrames;
    if (now > seen && quality.videoWidth > 0) {
      onFrame({ mediaTimeS: quality.currentTime, receivedMs: undefined });
    }
    seen = now;
  }, 100);
  return () => clearInterval(timer);
}
