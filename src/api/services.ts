import type { AppControl, LogRing, SettingsFile } from '../core/services.ts';

/** What the composition root hands to the API besides `Env`. */
export interface ApiServices {
  readonly settings: SettingsFile;
  readonly ring: LogRing;
  readonly control: AppControl;
  /** For sources in answers: masks them unless the owner wants them shown (`api.mask_secrets`). */
  readonly show: (text: string) => string;
  /** For everything else that leaves: always masks. */
  readonly mask: (text: string) => string;
  /** go2rtc version to report (compatibility.md 5.1). */
  readonly version: string;
  readonly ownVersion: string;
  readonly rtsp: { readonly listen: string; readonly default_query: string; readonly pkt_size: number };
  /** JSON Schema of the configuration file. */
  readonly schema: () => unknown;
}
