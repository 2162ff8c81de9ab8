/** What the button says, beside itself. */
export const TEXTS = {
  hold: 'Hold to speak',
  starting: 'Wait…',
  live: 'Speak now',
  insecure: 'Speaking works by https only (or on the server itself): browsers give no microphone to other pages',
} as const;

/** Why there is no microphone, in words (W3C Media Capture and Streams, `getUserMedia`). */
export function microphoneText(name: string): string {
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'The microphone is not allowed for this page: allow it in the browser’s address bar';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'This device has no microphone';
    case 'NotReadableError':
      return 'Another program holds the microphone';
    default:
      return 'There is no microphone';
  }
}

/** Why the camera does not listen, from the server's answer. */
export function refusedText(status: number, body: string): string {
  const text = body.trim().slice(0, 200);
  if (text === '' || text.startsWith('<')) return `The server answered with status ${status}`;
  if (text.startsWith("can't find consumer")) return 'This camera takes no sound';
  return text.charAt(0).toUpperCase() + text.slice(1);
}
