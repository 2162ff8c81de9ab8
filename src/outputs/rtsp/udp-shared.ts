import { describeError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { openUdpPair, type UdpPair } from './udp-ports.ts';

/** A connection whose viewer reports over UDP. */
interface Reporter {
  seen(): void;
}

/**
 * The UDP ports that all viewers share: one pair for each address of ours that a viewer came in by, so that packets
 * leave from the address that it knows.
 */
export class UdpPorts implements AsyncDisposable {
  readonly #log: Log;
  readonly #pairs = new Map<string, Promise<UdpPair>>();
  /** By `address:port` of the viewer's RTCP and RTP. */
  readonly #reporters = new Map<string, Reporter>();

  constructor(log: Log) {
    this.#log = log;
  }

  open(localAddress: string): Promise<UdpPair> {
    const known = this.#pairs.get(localAddress);
    if (known !== undefined) return known;
    const heard = (_packet: Buffer, from: { address: string; port: number }): void =>
      this.#reporters.get(`${from.address}:${from.port}`)?.seen();
    const opened = openUdpPair(localAddress, {
      onRtp: heard,
      onRtcp: heard,
      onError: (error) => this.#log.debug(`RTSP over UDP: ${error.message}`),
    });
    this.#pairs.set(localAddress, opened);
    // One that failed may work the next time.
    opened.catch(() => this.#pairs.delete(localAddress));
    return opened;
  }

  /** Receiver reports from these ports show that the viewer is there. */
  remember(reporter: Reporter, address: string, ports: readonly number[]): void {
    for (const port of ports) this.#reporters.set(`${address}:${port}`, reporter);
  }
  forget(reporter: Reporter): void {
    for (const [key, other] of this.#reporters) if (other === reporter) this.#reporters.delete(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pairs = [...this.#pairs.values()];
    this.#pairs.clear();
    this.#reporters.clear();
    for (const pair of pairs) {
      try {
        await (await pair)[Symbol.asyncDispose]();
      } catch (error) {
        this.#log.debug(`RTSP over UDP: ${describeError(error)}`);
      }
    }
  }
}
