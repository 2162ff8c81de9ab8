import { HearthcamError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { isVideo, VIDEO_CLOCK_HZ } from '../core/media.ts';
import type { MosaicListener, MosaicMaker, MosaicShape, MosaicView } from '../core/mosaic.ts';
import { CellFeed } from './cell-feed.ts';
import type { PipelineReport } from './pipeline-protocol.ts';
import type { Pipes } from './pipes.ts';
import type { Worker, WorkerClient } from './worker.ts';

/** The pipe of the mosaic itself; those of its cells count from here. */
const MOSAIC_PIPE = 0;

/** Makes mosaics, each in a codec process of its own. */
export function createMosaicMaker(pipes: Pipes, log: Log): MosaicMaker {
  return {
    make: (name, cells, shape, listener) => {
      const { worker, release } = pipes.takeMosaic(name);
      return new MosaicPipe({ name, cells, shape, listener, worker, log, release });
    },
  };
}

interface MosaicPipeOptions {
  readonly name: string;
  readonly cells: readonly string[];
  readonly shape: MosaicShape;
  readonly listener: MosaicListener;
  readonly worker: Worker;
  readonly log: Log;
  readonly release: () => void;
}

/** A mosaic in its process. When that is replaced it begins again, and its times go on by the clock. */
class MosaicPipe implements MosaicView, WorkerClient {
  readonly #options: MosaicPipeOptions;
  readonly #feeds = new Map<number, CellFeed>();
  #lastPipe = MOSAIC_PIPE;
  #lastPts = -1;
  #closed = false;

  /** It works by its own clock: a process that gives nothing for long hangs, whatever the cameras do. */
  readonly waitingUnits = 1;

  constructor(options: MosaicPipeOptions) {
    this.#options = options;
    options.worker.add(MOSAIC_PIPE, this);
  }

  show(cell: number, input: Parameters<MosaicView['show']>[1]): void {
    this.#feeds.get(cell)?.[Symbol.dispose]();
    this.#feeds.delete(cell);
    if (input === null || this.#closed) return;
    const { worker } = this.#options;
    const id = ++this.#lastPipe;
    this.#feeds.set(cell, new CellFeed({ worker, id, mosaic: MOSAIC_PIPE, slot: cell, ...input }));
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const feed of this.#feeds.values()) feed[Symbol.dispose]();
    this.#feeds.clear();
    this.#options.worker.remove(MOSAIC_PIPE);
    this.#options.release();
  }

  onStart(): void {
    const { worker, shape, cells } = this.#options;
    const startPts = Math.round((performance.now() * VIDEO_CLOCK_HZ) / 1000);
    worker.send({ type: 'mosaic', pipe: MOSAIC_PIPE, shape, names: cells, startPts });
  }

  onReport(report: PipelineReport): void {
    if (this.#closed) return;
    const { listener, log, name } = this.#options;
    switch (report.type) {
      case 'format':
        if (isVideo(report.format)) listener.format(report.format);
        return;
      case 'made': {
        const { pts, key, data } = report;
        if (pts <= this.#lastPts) return;
        this.#lastPts = pts;
        listener.unit({ pts, key, data });
        return;
      }
      case 'broken':
        listener.failed(
          new HearthcamError('mosaic.failed', `the mosaic "${name}" can't be made: ${report.message}`, {
            status: 502,
            permanent: report.fault === 'request',
          }),
        );
        return;
      case 'note':
        log.warn(`the mosaic "${name}": ${report.message}`);
        return;
      case 'progress':
        return;
      default:
        report satisfies never;
    }
  }

  onUnavailable(error: HearthcamError): void {
    this.#options.listener.failed(error);
  }

  onSuspect(): void {}
}
