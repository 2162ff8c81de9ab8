import { html, nothing, type TemplateResult } from 'lit';
import { labelOf, type Notice, qualityOfSize } from './logic/qualities.ts';
import type { Session } from './session.ts';
import './quality-menu.ts';

const TITLES = { audio: 'No sound', video: 'No picture', quality: 'Quality' } as const;

/** The choice of the quality; nothing where there is only one, or no video (MJPEG). */
export function qualityTemplate(session: Session | null, picture: Element | null): TemplateResult | typeof nothing {
  if (session === null || session.qualities.length < 2 || !(picture instanceof HTMLVideoElement)) return nothing;
  const { videoWidth, videoHeight } = picture;
  const now = qualityOfSize(session.qualities, videoWidth, videoHeight);
  const size = videoWidth === 0 ? '' : `${videoWidth}×${videoHeight}`;
  return html`<hearthcam-quality-menu
    .items=${session.qualities}
    .chosen=${session.quality}
    .now=${now === null ? size : labelOf(now)}
    @show=${() => session.lookAgain()}
    @choose=${(event: CustomEvent<{ name: string }>) => void session.setQuality(event.detail.name)}
  ></hearthcam-quality-menu>`;
}

/** Equal for equal notices: by it one that was closed is known again. */
export function noticeKey(notices: readonly Notice[]): string {
  return notices.map((one) => `${one.kind}${one.reason}${one.hint}`).join();
}

/** Why something is missing, and the line that would give it, as the server says it. */
export function noticeTemplate(notices: readonly Notice[], onClose: () => void): TemplateResult {
  return html`<div class="hint" role="status">
    <div>
      ${notices.map(
        ({ kind, reason, hint }) =>
          html`<p><strong>${TITLES[kind]}:</strong> ${reason}${hint === '' ? nothing : html`<br /><span>${hint}</span>`}</p>`,
      )}
    </div>
    <button aria-label="Close this note" @click=${onClose}>×</button>
  </div>`;
}
