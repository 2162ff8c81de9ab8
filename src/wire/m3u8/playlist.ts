/** HTTP Live Streaming playlists (RFC 8216; low latency: draft-pantos-hls-rfc8216bis) as values. */

export interface ByteRange {
  readonly bytes: number;
  /** Undefined: behind the range before it in the same resource. */
  readonly offset: number | undefined;
}

/** `EXT-X-MAP`: where the initialization section is. */
export interface MediaMap {
  readonly uri: string;
  readonly byteRange?: ByteRange;
}

/** `EXT-X-KEY` other than METHOD=NONE. */
export interface EncryptionKey {
  readonly method: string;
  readonly uri: string | undefined;
  readonly iv: Buffer | undefined;
}

/** `EXT-X-PART`. */
export interface MediaPart {
  readonly uri: string;
  readonly durationMs: number;
  readonly independent: boolean;
  readonly gap: boolean;
  readonly byteRange?: ByteRange;
}

export interface MediaSegment {
  /** Media Sequence Number. */
  readonly sequence: number;
  /** '' for the segment at the end of a low-latency playlist of which only parts exist yet. */
  readonly uri: string;
  readonly durationMs: number;
  readonly byteRange?: ByteRange;
  readonly map?: MediaMap;
  readonly key?: EncryptionKey;
  readonly discontinuity: boolean;
  readonly gap: boolean;
  /** UTC of its first sample. */
  readonly programDateTimeMs?: number;
  readonly parts: readonly MediaPart[];
}

/** `EXT-X-SERVER-CONTROL`. */
export interface ServerControl {
  readonly canBlockReload: boolean;
  readonly canSkipUntilMs?: number;
  readonly holdBackMs?: number;
  readonly partHoldBackMs?: number;
}

/** `EXT-X-RENDITION-REPORT`. */
export interface RenditionReport {
  readonly uri: string;
  readonly lastSequence: number;
  readonly lastPart: number | undefined;
}

export interface MediaPlaylist {
  readonly kind: 'media';
  readonly version: number;
  readonly targetDurationMs: number;
  readonly partTargetMs?: number;
  readonly serverControl?: ServerControl;
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  readonly independentSegments: boolean;
  /** `EXT-X-ENDLIST`. */
  readonly ended: boolean;
  /** Delta update: so many segments before the first of `segments` are left out (`EXT-X-SKIP`). */
  readonly skippedSegments: number;
  readonly segments: readonly MediaSegment[];
  /** `EXT-X-PRELOAD-HINT` of TYPE=PART. */
  readonly preloadHint?: string;
  readonly renditionReports: readonly RenditionReport[];
}

/** `EXT-X-STREAM-INF`. */
export interface Variant {
  readonly uri: string;
  /** Bits per second. */
  readonly bandwidth: number;
  readonly averageBandwidth?: number;
  /** RFC 6381. */
  readonly codecs: readonly string[];
  readonly width?: number;
  readonly height?: number;
  readonly frameRate?: number;
  /** GROUP-ID of its audio renditions. */
  readonly audioGroup?: string;
}

/** `EXT-X-MEDIA`. */
export interface Rendition {
  readonly type: string;
  readonly groupId: string;
  readonly name: string;
  readonly uri: string | undefined;
  readonly isDefault: boolean;
}

export interface MasterPlaylist {
  readonly kind: 'master';
  readonly independentSegments: boolean;
  readonly variants: readonly Variant[];
  readonly renditions: readonly Rendition[];
}

export type Playlist = MediaPlaylist | MasterPlaylist;
