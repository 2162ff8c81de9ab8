import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { parseCandidateAddress, type WebrtcConfig } from './config.ts';
import { type Candidate, formatCandidate, makeCandidate, parseCandidate } from './sdp/candidate.ts';

/** A name's address is asked for again after so long; home connections get a new one at night. */
const LOOKUP_FRESH_MS = 60_000;
const LOOKUP_LIMIT_MS = 1_500;

/**
 * Decides which of our addresses viewers are told: those that the transport found, filtered as configured, and those
 * that are configured (compatibility.md 4 `webrtc.candidates`, `webrtc.filters`).
 */
export class CandidatePolicy {
  readonly #config: WebrtcConfig;
  readonly #resolved = new Map<string, { address: string; atMs: number }>();

  constructor(config: WebrtcConfig) {
    this.#config = config;
  }

  /** Whether an address that the transport found is told. A list that is present but empty lets nothing through. */
  admits(candidate: Candidate): boolean {
    const filters = this.#config.filters ?? {};
    if (candidate.transport !== 'udp') return false;
    const family = isIP(candidate.address) === 6 ? 'udp6' : 'udp4';
    if (filters.networks != null && !filters.networks.includes(family)) return false;
    if (candidate.type !== 'host') return true;
    if (filters.ips != null && !filters.ips.includes(candidate.address)) return false;
    if (filters.candidates != null && !filters.candidates.includes(candidate.address)) return false;
    if (filters.interfaces == null) return true;
    const name = interfaceOf(candidate.address);
    return name !== undefined && filters.interfaces.includes(name);
  }

  /** The transport's lines that may be told, tidied up. */
  filter(lines: readonly string[]): string[] {
    return lines.flatMap((line) => {
      const candidate = parseCandidate(line);
      if (candidate === null || !this.admits(candidate)) return [];
      // `UDP` in capitals is what libdatachannel writes; clients that compare it expect small letters.
      return [line.replace(/^(candidate:\S+ \d+) UDP /, '$1 udp ')];
    });
  }

  /**
   * Addresses besides those that the transport finds.
   * @param port UDP port of the transport
   * @param loopback tell 127.0.0.1 as well: the viewer is on this machine, or the configuration says so
   */
  async extra(port: number, loopback: boolean): Promise<string[]> {
    const found: Candidate[] = [];
    if (loopback) found.push(makeCandidate('127.0.0.1', port, 'host', 1_000));
    const configured = (this.#config.candidates ?? []).slice(0, 20);
    const resolved = await Promise.all(configured.map((text) => this.#resolve(text, port)));
    resolved.forEach((one, index) => {
      if (one !== null) found.push(makeCandidate(one.address, one.port, 'host', 2_000 + index));
    });
    return found.map(formatCandidate);
  }

  /**
   * Ports of `stun:8555` entries: the public address is told with them instead of the one that STUN saw.
   * @param port UDP port of the transport
   */
  stunPorts(port: number): number[] {
    return (this.#config.candidates ?? []).flatMap((text) => {
      const address = parseCandidateAddress(text);
      return address?.host === 'stun' ? [address.port ?? port] : [];
    });
  }

  async #resolve(text: string, defaultPort: number): Promise<{ address: string; port: number } | null> {
    const parsed = parseCandidateAddress(text);
    if (parsed === null || parsed.host === 'stun') return null;
    const { host, port = defaultPort } = parsed;
    if (isIP(host) !== 0) return { address: host, port };
    const known = this.#resolved.get(host);
    if (known !== undefined && performance.now() - known.atMs < LOOKUP_FRESH_MS)
      return { address: known.address, port };
    const address = await Promise.race([
      lookup(host).then(
        (answer) => answer.address,
        () => null,
      ),
      new Promise<null>((resolve) => {
        setTimeout(() => resolve(null), LOOKUP_LIMIT_MS).unref();
      }),
    ]);
    if (address === null) return known === undefined ? null : { address: known.address, port };
    this.#resolved.set(host, { address, atMs: performance.now() });
    return { address, port };
  }
}

function interfaceOf(address: string): string | undefined {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (addresses?.some((one) => one.address === address) === true) return name;
  }
  return undefined;
}
