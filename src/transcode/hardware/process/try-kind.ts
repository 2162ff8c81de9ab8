import { AV_LOG_ERROR } from 'node-av/constants';
import { type Frame, Log } from 'node-av/lib';
import { describeError } from '../../../core/errors.ts';
import {
  HARDWARE_CODECS,
  HARDWARE_NAMES,
  type HardwareCodec,
  type HardwareKind,
  type HardwareReport,
} from '../../../core/hardware.ts';
import { hardwareDecoder } from '../../process/hardware-decoder.ts';
import { hardwareEncoder } from '../../process/hardware-encoder.ts';
import { deviceOf, KINDS, openDevice } from '../../process/hardware-kinds.ts';
import type { DecoderMaker, EncoderMaker } from '../../process/video-codecs.ts';
import { softwareDecoder } from '../../process/video-decoder.ts';
import { softwareEncoder } from '../../process/video-encoder.ts';
import { decodePictures, TEST_PICTURES, TestPictures } from './test-pictures.ts';

/** Levels that samples may be off on average: software codecs give about 1, a picture with wrong rows or colours 30. */
const MAX_DIFFERENCE = 12;
/** What FFmpeg and the driver say goes to the log's callback a moment later. */
const LOG_MS = 30;
const MAX_WORDS = 400;

/** What stands for the real thing in tests. */
export interface TriedMakers {
  readonly open: () => void;
  readonly decoder: DecoderMaker;
  readonly encoder: EncoderMaker;
  /** Whether the decoder's pictures show that the hardware made them. */
  readonly isHardware: (picture: Frame) => boolean;
}

/**
 * Opens the device, and then decodes and codes a few pictures in each codec with just what transcoding would use; what
 * comes out must look like what went in.
 * @param onPartial is given what is known so far, in case that the driver ends the process
 */
export async function tryKind(
  kind: HardwareKind,
  device: string | null,
  onPartial: (report: HardwareReport) => void = () => {},
  makers: TriedMakers = realMakers(kind, device),
): Promise<HardwareReport> {
  const said: string[] = [];
  Log.setLevel(AV_LOG_ERROR);
  Log.setCallback((_level, message) => said.push(message.trim()), { maxLevel: AV_LOG_ERROR });
  const decode: HardwareCodec[] = [];
  const encode: HardwareCodec[] = [];
  const failures: string[] = [];
  const wordsOf = async (error: unknown): Promise<string> => {
    await new Promise((resolve) => setTimeout(resolve, LOG_MS));
    const lines = said.splice(0).filter((line) => line !== '' && !/^Invalid setup for format/.test(line));
    const words = [...new Set(lines)].join(' ').slice(0, MAX_WORDS);
    return words === '' ? describeError(error) : `${describeError(error)} (the driver says: ${words})`;
  };
  const tell = (error?: string): HardwareReport => ({
    kind,
    device,
    decode: [...decode],
    encode: [...encode],
    ...(error === undefined ? {} : { error }),
  });
  try {
    try {
      makers.open();
    } catch (error) {
      const words = await wordsOf(error);
      return { ...tell(words), hint: hintFor(kind, words) };
    }
    for (const codec of HARDWARE_CODECS) {
      for (const [list, what, trial] of [
        [decode, 'decoding', tryDecoding],
        [encode, 'coding', tryCoding],
      ] as const) {
        try {
          trial(codec, makers);
          list.push(codec);
          onPartial(tell());
        } catch (error) {
          failures.push(`${what} ${codec}: ${await wordsOf(error)}`);
        }
      }
    }
    return tell(failures.length === 0 ? undefined : failures.join('; '));
  } finally {
    Log.setCallback(null);
  }
}

function realMakers(kind: HardwareKind, device: string | null): TriedMakers {
  const report: HardwareReport = { kind, device, decode: HARDWARE_CODECS, encode: HARDWARE_CODECS };
  const expected = KINDS[kind].device;
  return {
    open: () => {
      openDevice(kind, device);
    },
    decoder: hardwareDecoder(report),
    encoder: hardwareEncoder(report),
    isHardware: (picture) => deviceOf(picture.format) === expected,
  };
}

function tryDecoding(codec: HardwareCodec, { decoder, isHardware }: TriedMakers): void {
  using pictures = new TestPictures();
  const look = (picture: Frame): void => {
    if (!isHardware(picture)) throw new Error('the device does not decode it');
  };
  compare(decodePictures(pictures.code(codec, softwareEncoder), decoder, look), pictures);
}

function tryCoding(codec: HardwareCodec, { encoder }: TriedMakers): void {
  using pictures = new TestPictures();
  const units = pictures.code(codec, encoder);
  if (units[0]?.key === false) throw new Error('the first picture is no key frame');
  compare(decodePictures(units, softwareDecoder), pictures);
}

function compare(seen: ReadonlyMap<number, Buffer>, pictures: TestPictures): void {
  // Those that wait in an encoder or a decoder don't count.
  if (seen.size < TEST_PICTURES / 2) throw new Error(`${seen.size} of ${TEST_PICTURES} pictures came out`);
  for (const [pts, picture] of seen) {
    if (!(pictures.difference(pts, picture) <= MAX_DIFFERENCE)) {
      throw new Error('what comes out does not look like what went in');
    }
  }
}

/** What to do about a device that can't be opened. */
function hintFor(kind: HardwareKind, error: string): string {
  if (/cannot load libva/i.test(error)) return 'install the packages libva2 and libva-drm2';
  switch (kind) {
    case 'vaapi':
      return 'install its driver: the package intel-media-va-driver (Intel) or mesa-va-drivers (AMD)';
    case 'qsv':
      return `install the packages libmfx-gen1.2 (or libmfx1) and intel-media-va-driver, or use ${HARDWARE_NAMES.vaapi}`;
    case 'cuda':
      return 'install the NVIDIA driver; in Docker give the container the capability "video"';
    case 'rkmpp':
    case 'v4l2m2m':
      return "use a kernel of the board's maker";
    default:
      return kind satisfies never;
  }
}
