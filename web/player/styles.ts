import { css } from 'lit';

export const styles = css`
  :host {
    --_accent: var(--hearthcam-accent, #f2a65a);
    --_fit: var(--hearthcam-fit, contain);
    display: block;
    position: relative;
    overflow: hidden;
    width: 100%;
    aspect-ratio: var(--hearthcam-aspect, 16 / 9);
    background: var(--hearthcam-background, #0b0d10);
    color: #fff;
    font: 500 13px/1.35 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif;
    border-radius: var(--hearthcam-radius, 0);
    container-type: inline-size;
  }
  :host([hidden]) {
    display: none;
  }
  :host(:fullscreen) {
    border-radius: 0;
    width: 100%;
    height: 100%;
    aspect-ratio: auto;
  }
  :host(:fullscreen) .picture {
    object-fit: contain;
  }
  .stage,
  .poster,
  .picture {
    position: absolute;
    inset: 0;
    width: 100%;
    height: 100%;
  }
  .picture,
  .poster {
    object-fit: var(--_fit);
    display: block;
  }
  .picture {
    z-index: 0;
  }
  .picture.shown {
    z-index: 2;
  }
  .picture.top {
    z-index: 3;
  }
  .poster {
    z-index: 1;
    filter: saturate(0.85) brightness(0.8);
  }
  .stage {
    isolation: isolate;
  }

  .over {
    position: absolute;
    inset: 0;
    z-index: 4;
    display: grid;
    grid-template-rows: 1fr auto;
    pointer-events: none;
  }
  .over > * {
    pointer-events: auto;
  }
  .message {
    place-self: center;
    display: grid;
    justify-items: center;
    gap: 10px;
    max-width: min(34em, 86%);
    padding: 14px 18px;
    text-align: center;
    text-wrap: balance;
    overflow-wrap: anywhere;
    border-radius: 14px;
    background: rgb(11 13 16 / 72%);
  }
  .message.bare {
    background: none;
  }
  .message strong {
    font-size: 15px;
    font-weight: 600;
  }
  .message span::first-letter {
    text-transform: uppercase;
  }
  .message span {
    display: block;
    color: #d3d8de;
  }
  .notice {
    position: absolute;
    z-index: 5;
    top: 10px;
    left: 10px;
    right: 10px;
    width: fit-content;
    margin-inline: auto;
    padding: 5px 12px;
    border-radius: 99px;
    background: rgb(11 13 16 / 76%);
    overflow-wrap: anywhere;
  }
  .notice::before {
    content: '';
    display: inline-block;
    width: 8px;
    height: 8px;
    margin-right: 8px;
    border-radius: 50%;
    background: var(--_accent);
    animation: pulse 1.6s ease-in-out infinite;
  }
  .hint {
    position: absolute;
    z-index: 5;
    top: 10px;
    left: 10px;
    display: flex;
    gap: 6px;
    max-width: min(30em, calc(100% - 80px));
    padding: 7px 4px 7px 12px;
    border-radius: 12px;
    background: rgb(11 13 16 / 76%);
    overflow-wrap: anywhere;
    transition: opacity 0.25s;
  }
  .hint p {
    margin: 0;
  }
  .hint span {
    color: #d3d8de;
  }
  .hint button {
    width: 26px;
    height: 26px;
  }
  .spinner {
    width: 30px;
    height: 30px;
    border-radius: 50%;
    border: 3px solid rgb(255 255 255 / 22%);
    border-top-color: #fff;
    animation: turn 0.9s linear infinite, appear 0.3s 0.35s both;
  }
  @keyframes turn {
    to {
      rotate: 1turn;
    }
  }
  @keyframes appear {
    from {
      opacity: 0;
    }
  }
  @keyframes pulse {
    50% {
      opacity: 0.25;
    }
  }

  .bar {
    grid-row: 2;
    display: flex;
    align-items: center;
    gap: 2px;
    padding: 26px 8px 6px 8px;
    background: linear-gradient(transparent, rgb(0 0 0 / 62%));
    transition: opacity 0.25s;
  }
  .who {
    display: flex;
    align-items: center;
    min-width: 0;
    padding: 3px 11px;
    border-radius: 99px;
    background: rgb(11 13 16 / 62%);
    backdrop-filter: blur(8px);
  }
  .name {
    min-width: 0;
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    font-size: 14px;
    font-weight: 600;
  }
  .badge {
    margin-left: 10px;
    font-size: 12.5px;
    font-variant-numeric: tabular-nums;
    white-space: nowrap;
  }
  .badge::before {
    content: '';
    display: inline-block;
    width: 7px;
    height: 7px;
    margin-right: 6px;
    border-radius: 50%;
    background: #52d273;
  }
  .badge[data-phase='stalled']::before,
  .badge[data-phase='waiting']::before {
    background: var(--_accent);
  }
  .space {
    flex: 1;
  }
  button,
  a {
    display: inline-grid;
    place-items: center;
    flex: none;
    width: 38px;
    height: 38px;
    padding: 0;
    border: 0;
    border-radius: 10px;
    background: none;
    color: inherit;
    font: inherit;
    cursor: pointer;
    text-decoration: none;
    -webkit-tap-highlight-color: transparent;
  }
  button:hover,
  a:hover {
    background: rgb(255 255 255 / 18%);
  }
  :focus-visible {
    outline: 2px solid var(--_accent);
    outline-offset: -2px;
  }
  svg {
    width: 22px;
    height: 22px;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.7;
    stroke-linecap: round;
    stroke-linejoin: round;
    pointer-events: none;
  }
  button.retry {
    width: auto;
    height: 34px;
    padding: 0 16px;
    background: rgb(255 255 255 / 16%);
  }
  button.chip {
    position: absolute;
    z-index: 5;
    top: 10px;
    right: 10px;
    display: flex;
    gap: 7px;
    width: auto;
    height: 34px;
    padding: 0 13px 0 9px;
    border-radius: 99px;
    background: rgb(11 13 16 / 62%);
  }
  button.chip:hover {
    background: rgb(11 13 16 / 85%);
  }
  :host(:not(.awake)) .bar:not(:focus-within),
  :host(:not(.awake)) .hint:not(:focus-within),
  :host(:not(.awake)) .chip:not(:focus-visible) {
    opacity: 0;
  }
  .chip {
    transition: opacity 0.25s;
  }
  :host(:not(.awake):fullscreen) {
    cursor: none;
  }
  @container (max-width: 430px) {
    .bar a.still,
    .chip span {
      display: none;
    }
    button.chip {
      padding: 0;
      width: 34px;
      justify-content: center;
    }
    .badge {
      margin-left: 6px;
    }
  }
  @container (max-width: 250px) {
    .bar button.float,
    .badge {
      display: none;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    .notice::before {
      animation: none;
    }
    .bar,
    .chip {
      transition: none;
    }
  }
`;
