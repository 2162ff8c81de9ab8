import type { OutputModule } from './core/contracts.ts';
import type { Hub } from './core/hub.ts';
import type { SourceModule } from './core/source.ts';
import { frame } from './outputs/frame/frame.ts';
import { hls } from './outputs/hls/module.ts';
import { mp4 } from './outputs/mp4/module.ts';
import { mse } from './outputs/mse/module.ts';
import { rtspOutput } from './outputs/rtsp/module.ts';
import { webrtcOutput } from './outputs/webrtc/module.ts';
import { httpIngest } from './sources/http/ingest.ts';
import { httpSource } from './sources/http/source.ts';
import { makeRtspSource } from './sources/rtsp/index.ts';

/** The one list of sources. A new one is a folder under `src/sources` and a line here. */
export function createSources(_getHub: () => Hub, _ownRtspPorts: () => readonly number[]): readonly SourceModule[] {
  return [makeRtspSource(), httpSource];
}

/** The one list of outputs. A new one is a folder under `src/outputs` and a line here. */
export const outputs: readonly OutputModule[] = [rtspOutput, webrtcOutput, mse, mp4, hls, frame, httpIngest];
