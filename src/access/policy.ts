import type { AccessPolicy, Peer, Right } from '../core/contracts.ts';

/**
 * The one policy there is until there are users: whoever is authenticated may do everything. Which peers need
 * credentials is decided where they arrive (HTTP: `api.username`, RTSP: `rtsp.username`).
 */
export function ownerPolicy(): AccessPolicy {
  return {
    allows(peer: Peer, _right: Right, _streamName?: string): boolean {
      return peer.authenticated;
    },
  };
}
