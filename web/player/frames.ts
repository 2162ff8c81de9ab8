/** Calls `onFrame` for each presented picture of a video with its media time in seconds; returns how to stop. */
export function watchFrames(video: HTMLVideoElement, onFrame: (mediaTimeS: number) => void): () => void {
  let stopped = false;
  if ('requestVideoFrameCallback' in video) {
    let handle = 0;
    const next: VideoFrameRequestCallback = (_now, { mediaTime }) => {
      if (stopped) return;
      handle = video.requestVideoFrameCallback(next);
      onFrame(mediaTime);
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
    if (now > seen && quality.videoWidth > 0) onFrame(quality.currentTime);
    seen = now;
  }, 100);
  return () => clearInterval(timer);
}
