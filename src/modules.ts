import type { Cameras, OutputModule } from './core/contracts.ts';
import type { Hub } from './core/hub.ts';
import type { MosaicMaker } from './core/mosaic.ts';
import { withOwnStreams } from './core/own-streams.ts';
import type { Remaker } from './core/remaking.ts';
import type { SourceModule } from './core/source.ts';
import type { Hardware } from './core/targets.ts';
import { events } from './events/module.ts';
import { listen } from './listen/module.ts';
import { mqttOutput } from './mqtt/module.ts';
import { notify } from './notify/module.ts';
import { aac } from './outputs/aac/module.ts';
import { flv } from './outputs/flv/module.ts';
import { frame } from './outputs/frame/frame.ts';
import { hls } from './outputs/hls/module.ts';
import { mjpeg } from './outputs/mjpeg/module.ts';
import { mp4 } from './outputs/mp4/module.ts';
import { mpegts } from './outputs/mpegts/module.ts';
import { mse } from './outputs/mse/module.ts';
import { rtspOutput } from './outputs/rtsp/module.ts';
import { webrtcOutput } from './outputs/webrtc/module.ts';
import { createProgramSources, type ProgramSettings } from './sources/exec/index.ts';
import { createFfmpegSource } from './sources/ffmpeg/source.ts';
import { httpIngest } from './sources/http/ingest.ts';
import { httpSource } from './sources/http/source.ts';
import { createMosaicSource } from './sources/mosaic/source.ts';
import { makeRtspSource } from './sources/rtsp/index.ts';
import { createStreamSource } from './sources/stream/stream.ts';

/** What sources need beside the hub. */
export interface SourceNeeds {
  /** Makes mosaics; absent where nothing is ever run. */
  readonly getMosaicMaker?: () => MosaicMaker;
  /** Streams of one camera, best first; absent: each is its own. */
  readonly variantsOf?: Cameras['variants'];
  /** Makes tracks anew; absent where nothing is ever run. */
  readonly getRemaker?: () => Remaker;
  /** Arguments of the ffmpeg program by name: the `ffmpeg:` section of the configuration. */
  readonly ffmpegTemplates?: Readonly<Record<string, string>>;
  /** Why hardware of a kind can't be used here; null when it can, or nothing is known yet. */
  readonly hardwareProblem?: (kind: Hardware) => string | null;
}

/** The one list of sources. A new one is a folder under `src/sources` and a line here. */
export function createSources(
  getHub: () => Hub,
  ownRtspPorts: () => readonly number[],
  programs: ProgramSettings = { environment: {} },
  needs: SourceNeeds = {},
): readonly SourceModule[] {
  const stream = createStreamSource(getHub, ownRtspPorts);
  const rtsp = withOwnStreams(makeRtspSource(), stream, getHub, ownRtspPorts);
  const all: SourceModule[] = [rtsp, httpSource, stream];
  const ffmpeg = createFfmpegSource({
    getHub,
    modules: all,
    ownRtspPorts,
    getRemaker: needs.getRemaker,
    templates: needs.ffmpegTemplates,
    hardwareProblem: needs.hardwareProblem,
  });
  all.push(ffmpeg);
  const { getMosaicMaker: getMaker, variantsOf = (name: string) => [name] } = needs;
  all.push(createMosaicSource({ getHub, ownRtspPorts, variantsOf, getMaker }));
  all.push(...createProgramSources(programs, getHub, () => all));
  return all;
}

/** The one list of outputs. A new one is a folder under `src/outputs` and a line here. */
export const outputs: readonly OutputModule[] = [
  rtspOutput,
  webrtcOutput,
  mse,
  mp4,
  hls,
  frame,
  mjpeg,
  mpegts,
  flv,
  aac,
  httpIngest,
  mqttOutput,
  events,
  listen,
  notify,
];
