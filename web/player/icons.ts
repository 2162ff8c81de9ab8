import { type SVGTemplateResult, svg } from 'lit';

/** 24×24 outline icons, drawn for this player. */
const path = (d: string): SVGTemplateResult => svg`<path d=${d} />`;

export const ICONS = {
  soundOn: path('M4 9.5v5h3.5L12 18.5v-13L7.5 9.5H4ZM15.5 8.5a5 5 0 0 1 0 7M18 6a8.5 8.5 0 0 1 0 12'),
  soundOff: path('M4 9.5v5h3.5L12 18.5v-13L7.5 9.5H4ZM16 9.5l5 5M21 9.5l-5 5'),
  still: path('M4 8h3l1.5-2.5h7L17 8h3v11H4V8ZM12 16.5a3.25 3.25 0 1 0 0-6.5 3.25 3.25 0 0 0 0 6.5Z'),
  float: path('M3.5 5.5h17v13h-17v-13ZM12 12h6v4.5h-6V12Z'),
  quality: path('M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5'),
  full: path('M4 9V4.5h5M20 9V4.5h-5M4 15v4.5h5M20 15v4.5h-5'),
  fullEnd: path('M9 4.5V9H4M15 4.5V9h5M9 19.5V15H4M15 19.5V15h5'),
} as const;
