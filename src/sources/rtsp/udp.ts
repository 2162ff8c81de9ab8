import dgram from 'node:dgram';
import net from 'node:net';
import { HearthcamError } from '../../core/errors.ts';
import { RTP_HEADER_BYTES, writeRtpHeader } from '../../wire/rtp/header.ts';
import { ReorderBuffer } from '../../wire/rtp/reorder.ts';

export interface UdpPairEvents {
  /** RTP packets in order. */
  onRtp(packet: Buffer): void;
  onRtcp(packet: Buffer): void;
  /** After each datagram, with its size. */
  onRead(bytes: number): void;
}

/** Linux caps it at net.core.rmem_max; a key frame at once needs a few hundred KiB. */
const RECEIVE_BUFFER_BYTES = 2 * 1024 * 1024;
const PORT_TRIES = 30;

/** The two ports (RTP even, RTCP the next: RFC 3550 §11) of one medium over UDP. */
export class UdpPair {
  readonly port: number;
  readonly #rtp: dgram.Socket;
  readonly #rtcp: dgram.Socket;
  readonly #events: UdpPairEvents;
  readonly #order: ReorderBuffer<Buffer>;
  #timer: NodeJS.Timeout | undefined;
  #peer = '';
  #serverPorts: readonly [number, number] | undefined;
  #closed = false;

  private constructor(port: number, rtp: dgram.Socket, rtcp: dgram.Socket, events: UdpPairEvents) {
    this.port = port;
    this.#rtp = rtp;
    this.#rtcp = rtcp;
    this.#events = events;
    this.#order = new ReorderBuffer((packet) => events.onRtp(packet));
    rtp.on('message', (packet, from) => this.#onRtp(packet, from.address));
    rtcp.on('message', (packet, from) => {
      if (!this.#isPeer(from.address)) return;
      events.onRtcp(packet);
      events.onRead(packet.length);
    });
    // A port that is closed at the camera comes back as ECONNREFUSED on some systems: silence is noticed elsewhere.
    rtp.on('error', () => {});
    rtcp.on('error', () => {});
  }

  /**
   * Binds a pair on `localHost`. @throws HearthcamError `rtsp.udp` when no pair of ports is free
   */
  static async open(localHost: string, events: UdpPairEvents): Promise<UdpPair> {
    for (let i = 0; i < PORT_TRIES; i++) {
      const rtp = await bind(localHost, 0);
      const { port } = rtp.address();
      if (port % 2 === 0) {
        try {
          const rtcp = await bind(localHost, port + 1);
          return new UdpPair(port, rtp, rtcp, events);
        } catch {
          // Taken by somebody else: the next pair.
        }
      }
      rtp.close();
    }
    throw new HearthcamError('rtsp.udp', 'found no free pair of UDP ports');
  }

  /** Packets come from `host` alone from now on; opens the way back through firewalls, as FFmpeg does. */
  begin(host: string, serverPorts: readonly [number, number] | undefined, ssrc: number): void {
    this.#peer = host;
    this.#serverPorts = serverPorts;
    if (serverPorts === undefined) return;
    const empty = Buffer.alloc(RTP_HEADER_BYTES);
    writeRtpHeader(empty, 0, 0, false, 0, 0, ssrc);
    this.#rtp.send(empty, serverPorts[0], host, () => {});
  }

  sendRtp(packet: Buffer): void {
    if (this.#closed || this.#serverPorts === undefined) return;
    this.#rtp.send(packet, this.#serverPorts[0], this.#peer, () => {});
  }

  sendRtcp(packet: Buffer): void {
    if (this.#closed || this.#serverPorts === undefined) return;
    this.#rtcp.send(packet, this.#serverPorts[1], this.#peer, () => {});
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#rtp.close();
    this.#rtcp.close();
  }

  #onRtp(packet: Buffer, from: string): void {
    if (!this.#isPeer(from) || packet.length < RTP_HEADER_BYTES) return;
    this.#order.push(packet.readUInt16BE(2), packet, performance.now());
    this.#events.onRead(packet.length);
    const { deadlineMs } = this.#order;
    if (deadlineMs !== undefined)
      this.#timer ??= setTimeout(() => this.#onDeadline(), deadlineMs - performance.now()).unref();
  }

  #onDeadline(): void {
    this.#timer = undefined;
    if (this.#closed) return;
    const nowMs = performance.now();
    this.#order.poll(nowMs);
    this.#events.onRead(0);
    const { deadlineMs } = this.#order;
    // A timer may fire a fraction of a millisecond early.
    if (deadlineMs !== undefined) {
      this.#timer = setTimeout(() => this.#onDeadline(), Math.max(1, deadlineMs - nowMs)).unref();
    }
  }

  #isPeer(address: string): boolean {
    return !this.#closed && this.#peer !== '' && plain(address) === plain(this.#peer);
  }
}

/** `::ffff:192.0.2.1` and `192.0.2.1` are the same. */
function plain(address: string): string {
  return address.replace(/^::ffff:/i, '');
}

function bind(host: string, port: number): Promise<dgram.Socket> {
  const address = plain(host);
  const socket = dgram.createSocket({ type: net.isIPv6(address) ? 'udp6' : 'udp4' });
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind(port, address, () => {
      socket.removeAllListeners('error');
      try {
        socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
      } catch {
        // The system's own size it is, then.
      }
      resolve(socket);
    });
  });
}
