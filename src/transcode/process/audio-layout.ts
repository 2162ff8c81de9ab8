import { AV_CHANNEL_ORDER_NATIVE } from 'node-av/constants';
import type { ChannelLayout, Frame } from 'node-av/lib';

/** Loudspeakers by number of channels, as FLAC numbers them (RFC 9639 §9.1.3) and AAC and FFmpeg understand them. */
const MASKS: readonly bigint[] = [0n, 0x4n, 0x3n, 0x7n, 0x33n, 0x37n, 0x3fn, 0x70fn, 0x63fn];

/** @param channels 1…8 */
export function layoutOf(channels: number): ChannelLayout {
  return { order: AV_CHANNEL_ORDER_NATIVE, nbChannels: channels, mask: MASKS[channels] ?? 0n };
}

/** That of a decoded frame, also where the decoder knows the number of channels only. */
export function frameLayout(frame: Frame): ChannelLayout {
  const layout = frame.channelLayout;
  return layout.order === AV_CHANNEL_ORDER_NATIVE ? layout : layoutOf(layout.nbChannels);
}
